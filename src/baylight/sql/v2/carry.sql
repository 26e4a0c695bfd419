-- Functions that turn V2's values into Baylight's, for single rows (triggers) and for batches (backfill).
-- Every name has its schema, since these functions run with the rights of their owner.

-- Return an EUI in Baylight's spelling, or NULL if the text is none. A regular expression would need 20 times as long.
CREATE OR REPLACE FUNCTION v2_migration.canon_eui(eui text) RETURNS varchar(16)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN length(eui) = 16 AND translate(eui, '0123456789abcdefABCDEF', '') = '' THEN lower(eui) END;

-- Return V2's word for a state of Baylight. V2 has none for UNKNOWN: a space whose state is not known is not free.
CREATE OR REPLACE FUNCTION v2_migration.v2_state(state text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE state WHEN 'UNKNOWN' THEN 'OCCUPIED' WHEN 'OUT_OF_ORDER' THEN 'MAINTENANCE' ELSE state END;

-- Return whether Baylight can read a time: infinity, years before 1 and years after 9999 are none in Python.
CREATE OR REPLACE FUNCTION v2_migration.is_plain_time(at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(at >= '0001-01-01 00:00:00+00'::timestamptz AND at < '10000-01-01 00:00:00+00'::timestamptz, true);

-- Return a time, or NULL if Baylight cannot read it.
CREATE OR REPLACE FUNCTION v2_migration.plain_time(at timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN v2_migration.is_plain_time(at) THEN at END;

-- Return a time without which its row has no meaning. A time that Baylight cannot read is a data error.
CREATE OR REPLACE FUNCTION v2_migration.needed_time(at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT v2_migration.is_plain_time(at) THEN
        RAISE EXCEPTION 'Baylight cannot read the time %', at USING ERRCODE = 'datetime_field_overflow';
    END IF;
    RETURN at;
END
$$;

-- Let no location be renamed before the end of this transaction: it would not take the spaces along that are being carried
-- into it. This does not wait, and others that carry spaces do not wait for it.
CREATE OR REPLACE FUNCTION v2_migration.share_places() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(7309940825938063) THEN  -- the key of reflect_location()
        RAISE EXCEPTION 'a location is being renamed' USING ERRCODE = 'lock_not_available';
    END IF;
END
$$;

-- Return the location of V2's three texts. Create it if there is none.
CREATE OR REPLACE FUNCTION v2_migration.place(building text, floor text, zone text) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    above uuid;
    found uuid;
    part record;
BEGIN
    FOR part IN SELECT * FROM (VALUES (1, 'building', building), (2, 'floor', floor), (3, 'zone', zone)) AS v (n, kind, name)
        WHERE v.name <> '' ORDER BY n
    LOOP
        SELECT l.id INTO found FROM baylight_next.locations AS l
        WHERE coalesce(l.parent_id, '00000000-0000-0000-0000-000000000000') = coalesce(above, '00000000-0000-0000-0000-000000000000')
          AND l.kind = part.kind AND l.name = part.name;
        IF found IS NULL AND part.kind = 'building' THEN
            -- A user may have put the building below a site meanwhile.
            SELECT l.id INTO found FROM baylight_next.locations AS l
            WHERE l.kind = 'building' AND l.name = part.name ORDER BY l.created_at, l.id LIMIT 1;
        END IF;
        IF found IS NULL THEN
            INSERT INTO baylight_next.locations (parent_id, kind, name) VALUES (above, part.kind, part.name)
            ON CONFLICT (coalesce(parent_id, '00000000-0000-0000-0000-000000000000'::uuid), kind, name)
            DO UPDATE SET name = excluded.name RETURNING id INTO found;
        END IF;
        above := found;
        found := NULL;
    END LOOP;
    RETURN above;
END
$$;

-- Locations of V2's three texts for many spaces at once, where none must be created or found below a site.
CREATE OR REPLACE FUNCTION v2_migration.known_place(building text, floor text, zone text)
RETURNS TABLE (id uuid, known boolean)
LANGUAGE sql STABLE
AS $$
SELECT coalesce(z.id, f.id, b.id),
       (b.id IS NOT NULL OR coalesce(building, '') = '') AND (f.id IS NOT NULL OR coalesce(floor, '') = '')
       AND (z.id IS NOT NULL OR coalesce(zone, '') = '')
FROM (VALUES ('00000000-0000-0000-0000-000000000000'::uuid)) AS n (nowhere)
LEFT JOIN baylight_next.locations AS b
    ON coalesce(b.parent_id, '00000000-0000-0000-0000-000000000000') = n.nowhere
    AND b.kind = 'building' AND b.name = nullif(building, '')
LEFT JOIN baylight_next.locations AS f
    ON coalesce(f.parent_id, '00000000-0000-0000-0000-000000000000') = coalesce(b.id, n.nowhere)
    AND f.kind = 'floor' AND f.name = nullif(floor, '')
LEFT JOIN baylight_next.locations AS z
    ON coalesce(z.parent_id, '00000000-0000-0000-0000-000000000000') = coalesce(f.id, b.id, n.nowhere)
    AND z.kind = 'zone' AND z.name = nullif(zone, '')
$$;

-- Return the last reading that V2 received from a sensor, in either spelling of its EUI. No row if there is none. Readings
-- from the future, and from before sensors existed, have a wrong time: they would stay the last ones for years.
CREATE OR REPLACE FUNCTION v2_migration.last_reading(eui text)
RETURNS TABLE (seen_at timestamptz, rssi smallint, snr real, occupancy varchar(20))
LANGUAGE sql STABLE
AS $$
SELECT u."timestamp", greatest(least(u.rssi, 32767), -32768)::smallint, u.snr::real,
       CASE WHEN u.occupancy_state IN ('FREE', 'OCCUPIED') THEN u.occupancy_state END
FROM (
    (SELECT * FROM public.sensor_readings WHERE device_eui = eui
     AND "timestamp" BETWEEN '2000-01-01' AND clock_timestamp() + interval '1 minute' ORDER BY "timestamp" DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM public.sensor_readings WHERE device_eui = upper(eui) AND eui <> upper(eui)
     AND "timestamp" BETWEEN '2000-01-01' AND clock_timestamp() + interval '1 minute' ORDER BY "timestamp" DESC LIMIT 1)
) AS u
ORDER BY u."timestamp" DESC LIMIT 1
$$;

-- Return an id like uuid7(), with one time for all rows. Ids of one instant lie together, so indexes are filled faster.
CREATE OR REPLACE FUNCTION v2_migration.id_at(moment text) RETURNS uuid
LANGUAGE sql VOLATILE
RETURN (moment || substr(gen_random_uuid()::text, 16))::uuid;

CREATE OR REPLACE FUNCTION v2_migration.moment() RETURNS text
LANGUAGE sql VOLATILE
RETURN substr(baylight_next.uuid7()::text, 1, 15);
