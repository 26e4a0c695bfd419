-- What a service user may do to history beyond adding to it. The functions run with the rights of the owner, since the
-- service user has no right to update or delete there. Each checks its bounds by the clock of the database.

ALTER TABLE installation
ADD COLUMN min_uplink_months smallint NOT NULL DEFAULT 1,
ADD COLUMN min_actuation_months smallint NOT NULL DEFAULT 1;
COMMENT ON COLUMN installation.min_uplink_months IS
'uplinks of this time are never dropped, whatever the service asks; the owner sets it';
COMMENT ON COLUMN installation.min_actuation_months IS 'the same for actuations and their steps';

-- Outside of these months it does nothing, and a row goes to the default partition.
CREATE FUNCTION service_ensure_partition(parent text, month timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF month BETWEEN clock_timestamp() - interval '10 years' AND clock_timestamp() + interval '1 year' THEN
        RETURN ensure_partition(parent, month);
    END IF;
    RETURN false;
END
$$;

CREATE FUNCTION service_drop_partitions(parent text, before timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    months integer := (
        SELECT CASE parent WHEN 'uplinks' THEN min_uplink_months WHEN 'actuations' THEN min_actuation_months END
        FROM installation
    );
BEGIN
    IF months IS NULL THEN
        RAISE EXCEPTION '% has no partitions', parent USING ERRCODE = 'undefined_table';
    END IF;
    RETURN QUERY
    SELECT name FROM drop_partitions(parent, least(before, clock_timestamp() - make_interval(months => months))) AS name;
END
$$;

-- Deletes at most max_rows steps of actuations that came before an instant; returns their ids.
CREATE FUNCTION service_delete_steps(before timestamptz, max_rows bigint) RETURNS SETOF bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    months integer := (SELECT min_actuation_months FROM installation);
BEGIN
    RETURN QUERY
    DELETE FROM actuation_events AS e WHERE e.id IN (
        SELECT old.id FROM actuation_events AS old
        WHERE old.received_at < least(before, clock_timestamp() - make_interval(months => months))
        ORDER BY old.id LIMIT max_rows
    )
    RETURNING e.id;
END
$$;

-- Deletes uplinks of devices that are not registered; returns their number.
CREATE FUNCTION service_delete_uplinks(dev_euis text[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM uplinks AS u
    WHERE u.dev_eui = ANY (dev_euis) AND u.outcome = 'unknown_device'
      AND u.received_at < clock_timestamp() - interval '28 days'
      AND NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = u.dev_eui)
      AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = u.dev_eui);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;

-- Writes what a codec answered, once: true if the uplink had waited for it.
CREATE FUNCTION service_write_decoded(
    observed timestamptz, deduplication uuid, new_outcome text, new_reading jsonb, new_occupancy text, new_error text
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE uplinks SET outcome = new_outcome, reading = new_reading, occupancy = new_occupancy, error = new_error
    WHERE observed_at = observed AND deduplication_id = deduplication AND outcome = 'to_decode';
    RETURN FOUND;
END
$$;

-- Gives network events that came before the answer to the enqueue call their actuations; both arrays have the same order.
CREATE FUNCTION service_match_events(queue_ids text[], actuation_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    matched bigint;
BEGIN
    UPDATE actuation_events AS e SET actuation_id = n.actuation_id
    FROM unnest(queue_ids, actuation_ids) AS n (queue_id, actuation_id)
    WHERE e.downlink_queue_id = n.queue_id AND e.actuation_id IS NULL;
    GET DIAGNOSTICS matched = ROW_COUNT;
    RETURN matched;
END
$$;

-- `baylight db service-user` grants them.
REVOKE ALL ON FUNCTION service_ensure_partition, service_drop_partitions, service_delete_steps, service_delete_uplinks,
service_write_decoded, service_match_events FROM PUBLIC;
