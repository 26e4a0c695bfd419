-- When Baylight writes, V2's rows follow in the same transaction. Triggers of the customer's on V2's tables run with
-- `public` in the search_path, as they did before. Baylight never waits for a row that V2 holds. Instead
-- its transaction fails with lock_not_available, and its services try again. So V2 is never the victim of a deadlock.

-- What V2 wrote and Baylight does not have yet is newer than what Baylight would write.
CREATE OR REPLACE FUNCTION v2_migration.refuse_queued(of_table text, ids text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF v2_migration.is_queued(of_table, ids) THEN
        RAISE EXCEPTION 'V2''s last write of this row waits to be followed' USING ERRCODE = 'lock_not_available';
    END IF;
END
$$;

-- Make V2's rows equal to Baylight's. Their state follows only if Baylight decides.
CREATE OR REPLACE FUNCTION v2_migration.reflect_spaces(ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    ours boolean := (SELECT owner = 'baylight' FROM v2_migration.control);
    written integer;
    inserted integer;
BEGIN
    PERFORM FROM public.spaces WHERE id = ANY(ids) ORDER BY id FOR UPDATE NOWAIT;
    PERFORM v2_migration.refuse_queued('spaces', ids::text[]);
    PERFORM set_config('baylight.v2_sync', 'on', true);
    UPDATE v2_migration.residue AS x SET
        sensor_eui = CASE WHEN x.sensor_deveui IS DISTINCT FROM s.sensor_deveui THEN s.sensor_deveui ELSE x.sensor_eui END,
        display_eui = CASE WHEN x.display_deveui IS DISTINCT FROM s.display_deveui THEN s.display_deveui ELSE x.display_eui END,
        sensor_deveui = s.sensor_deveui, display_deveui = s.display_deveui
    FROM baylight_next.spaces AS s
    WHERE x.space_id = ANY(ids) AND s.id = x.space_id
      AND (x.sensor_deveui, x.display_deveui) IS DISTINCT FROM (s.sensor_deveui, s.display_deveui);
    DELETE FROM v2_migration.quarantine AS q USING baylight_next.spaces AS s
    WHERE q.source_table = 'spaces' AND q.source_id = ANY(ids::text[]) AND s.id = q.source_id::uuid
      AND ((q.field = 'sensor_eui' AND s.sensor_deveui IS NOT NULL)
           OR (q.field = 'display_eui' AND s.display_deveui IS NOT NULL)
           OR (q.field = 'gps' AND s.gps_latitude IS NOT NULL));
    IF ours THEN
        DELETE FROM v2_migration.kept_states AS k USING baylight_next.spaces AS s
        WHERE k.space_id = ANY(ids) AND s.id = k.space_id AND s.current_state <> 'UNKNOWN';
        INSERT INTO v2_migration.kept_states
        SELECT l.id, l.state FROM public.spaces AS l INNER JOIN baylight_next.spaces AS s ON s.id = l.id
        WHERE l.id = ANY(ids) AND s.current_state = 'UNKNOWN'
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE public.spaces AS l SET
        name = o.name, code = o.code, building = o.building, floor = o.floor, zone = o.zone,
        gps_latitude = o.gps_latitude, gps_longitude = o.gps_longitude, sensor_eui = o.sensor_eui,
        display_eui = o.display_eui, metadata = o.metadata, deleted_at = o.deleted_at,
        state = CASE WHEN ours THEN o.state ELSE l.state END
    FROM v2_migration.old_spaces AS o
    WHERE o.id = ANY(ids) AND l.id = o.id
      AND ((l.name, l.code, l.building, l.floor, l.zone, l.gps_latitude, l.gps_longitude, l.sensor_eui, l.display_eui,
            l.metadata, l.deleted_at)
          IS DISTINCT FROM (o.name, o.code, o.building, o.floor, o.zone, o.gps_latitude, o.gps_longitude, o.sensor_eui,
            o.display_eui, o.metadata, o.deleted_at)
          OR (ours AND l.state <> o.state));
    GET DIAGNOSTICS written = ROW_COUNT;
    INSERT INTO public.spaces (
        id, name, code, building, floor, zone, gps_latitude, gps_longitude, sensor_eui, display_eui, state, metadata,
        created_at, updated_at, deleted_at
    )
    SELECT o.id, o.name, o.code, o.building, o.floor, o.zone, o.gps_latitude, o.gps_longitude, o.sensor_eui,
           o.display_eui, o.state, o.metadata, o.created_at, o.updated_at, o.deleted_at
    FROM v2_migration.old_spaces AS o
    WHERE o.id = ANY(ids) AND NOT EXISTS (SELECT FROM public.spaces AS l WHERE l.id = o.id);
    GET DIAGNOSTICS inserted = ROW_COUNT;
    PERFORM set_config('baylight.v2_sync', before, true);
    RETURN written + inserted;
END
$$;

-- Write a decision of Baylight into V2's row. Return false if V2 holds the row at this moment.
CREATE OR REPLACE FUNCTION v2_migration.reflect_state(wanted_id uuid, decided text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    had text;
BEGIN
    SELECT state INTO had FROM public.spaces WHERE id = wanted_id FOR NO KEY UPDATE SKIP LOCKED;
    IF had IS NULL THEN
        RETURN NOT EXISTS (SELECT FROM public.spaces WHERE id = wanted_id);
    END IF;
    IF decided = 'UNKNOWN' THEN
        INSERT INTO v2_migration.kept_states VALUES (wanted_id, had) ON CONFLICT DO NOTHING;
    ELSE
        DELETE FROM v2_migration.kept_states WHERE space_id = wanted_id;
    END IF;
    IF had <> v2_migration.v2_state(decided) THEN
        PERFORM set_config('baylight.v2_sync', 'on', true);
        UPDATE public.spaces SET state = v2_migration.v2_state(decided) WHERE id = wanted_id;
        PERFORM set_config('baylight.v2_sync', before, true);
    END IF;
    RETURN true;
END
$$;

-- Write the decisions that came while V2 held its row. Return the number of those that still wait.
CREATE OR REPLACE FUNCTION v2_migration.reflect_late_states() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    last bigint := (SELECT max(id) FROM v2_migration.late_states);
    one uuid;
BEGIN
    FOR one IN SELECT DISTINCT l.space_id FROM v2_migration.late_states AS l WHERE l.id <= last ORDER BY 1 LOOP
        IF v2_migration.reflect_state(one, (SELECT s.current_state FROM baylight_next.spaces AS s WHERE s.id = one)) THEN
            DELETE FROM v2_migration.late_states WHERE space_id = one AND id <= last;
        END IF;
    END LOOP;
    RETURN (SELECT count(*) FROM v2_migration.late_states);
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.reflect_space() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    violated text;
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.name, NEW.code, NEW.location_id, NEW.gps_latitude, NEW.gps_longitude, NEW.sensor_deveui,
        NEW.display_deveui, NEW.metadata, NEW.deleted_at)
        IS NOT DISTINCT FROM (OLD.name, OLD.code, OLD.location_id, OLD.gps_latitude, OLD.gps_longitude, OLD.sensor_deveui,
        OLD.display_deveui, OLD.metadata, OLD.deleted_at)
    THEN
        IF NEW.current_state <> OLD.current_state AND NOT v2_migration.reflect_state(NEW.id, NEW.current_state) THEN
            INSERT INTO v2_migration.late_states (space_id) VALUES (NEW.id);
        END IF;
        RETURN NULL;
    END IF;
    PERFORM v2_migration.reflect_spaces(ARRAY[NEW.id]);
    RETURN NULL;
EXCEPTION WHEN unique_violation THEN
    -- In V2, deleted spaces keep their codes and EUIs; so must Baylight's, until the contract stage.
    GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
    RAISE EXCEPTION 'V2 still has a space, perhaps a deleted one, with this code or sensor'
        USING ERRCODE = 'unique_violation', CONSTRAINT = CASE violated
            WHEN 'unique_space_code' THEN 'spaces_code_live'
            WHEN 'unique_sensor_eui' THEN 'device_assignments_one_space_per_device' ELSE violated END;
WHEN string_data_right_truncation THEN
    RAISE EXCEPTION 'V2 holds less' USING ERRCODE = 'check_violation', CONSTRAINT = 'v2_holds_less';
END
$$;

-- When a location is renamed or moved, the texts of all spaces below it change.
CREATE OR REPLACE FUNCTION v2_migration.reflect_location() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7309940825938063);  -- until no space is being carried into it, see share_places()
    PERFORM v2_migration.reflect_spaces(array_agg(s.id))
    FROM baylight_next.spaces AS s
    INNER JOIN baylight_next.locations AS l ON l.id = s.location_id
    WHERE l.path @> ARRAY[NEW.id]
    HAVING count(*) > 0;
    RETURN NULL;
EXCEPTION WHEN string_data_right_truncation THEN
    RAISE EXCEPTION 'V2 holds less' USING ERRCODE = 'check_violation', CONSTRAINT = 'v2_holds_less';
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.reflect_reservations(ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    written integer;
BEGIN
    PERFORM FROM public.reservations WHERE id = ANY(ids) ORDER BY id FOR UPDATE NOWAIT;
    PERFORM v2_migration.refuse_queued('reservations', ids::text[]);
    PERFORM set_config('baylight.v2_sync', 'on', true);
    INSERT INTO public.reservations AS l (
        id, space_id, start_time, end_time, user_email, user_phone, status, metadata, created_at, updated_at
    )
    SELECT r.id, r.space_id, r.start_time, r.end_time, r.user_email, r.user_phone, r.status, r.metadata, r.created_at,
           r.updated_at
    FROM baylight_next.reservations AS r WHERE r.id = ANY(ids)
    ON CONFLICT (id) DO UPDATE SET
        space_id = excluded.space_id, start_time = excluded.start_time, end_time = excluded.end_time,
        user_email = excluded.user_email, user_phone = excluded.user_phone, status = excluded.status,
        metadata = excluded.metadata
    WHERE (l.space_id, l.start_time, l.end_time, l.user_email, l.user_phone, l.status, l.metadata)
        IS DISTINCT FROM (excluded.space_id, excluded.start_time, excluded.end_time, excluded.user_email,
                          excluded.user_phone, excluded.status, excluded.metadata);
    GET DIAGNOSTICS written = ROW_COUNT;
    PERFORM set_config('baylight.v2_sync', before, true);
    RETURN written;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.reflect_reservation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    violated text;
BEGIN
    PERFORM v2_migration.reflect_reservations(ARRAY[NEW.id]);
    IF TG_OP = 'UPDATE' AND NEW.status <> 'active' AND OLD.status = 'active' THEN
        PERFORM v2_migration.release_time(NEW.space_id, NEW.id);
    END IF;
    RETURN NULL;
EXCEPTION WHEN check_violation THEN
    -- A day may have 25 hours. V2's bound is 24.
    GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
    RAISE EXCEPTION 'V2 refuses the reservation: %', SQLERRM USING ERRCODE = 'check_violation',
        CONSTRAINT = CASE violated WHEN 'valid_duration' THEN 'v2_valid_duration' ELSE violated END;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.reflect_state_changes(first_id bigint, last_id bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    written integer;
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    INSERT INTO public.state_changes (
        id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
    )
    SELECT c.id, c.space_id, c.previous_state, c.new_state, c.source, c.request_id, c.metadata, c."timestamp"
    FROM baylight_next.state_changes AS c
    WHERE c.id BETWEEN first_id AND last_id
      AND NOT EXISTS (SELECT FROM public.state_changes AS l WHERE l.id = c.id);
    GET DIAGNOSTICS written = ROW_COUNT;
    PERFORM set_config('baylight.v2_sync', before, true);
    RETURN written;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.reflect_state_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on' THEN
        PERFORM v2_migration.reflect_state_changes(min(a.id), max(a.id)) FROM added AS a HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END
$$;

-- Both sides refuse a revoked key at once.
CREATE OR REPLACE FUNCTION v2_migration.reflect_api_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM FROM public.api_keys WHERE id = NEW.id FOR NO KEY UPDATE NOWAIT;
    PERFORM v2_migration.refuse_queued('api_keys', ARRAY[NEW.id::text]);
    UPDATE public.api_keys SET is_active = NEW.is_active
    WHERE id = NEW.id AND is_active IS DISTINCT FROM NEW.is_active;
    RETURN NULL;
END
$$;

-- Until the switch V2 decides. Decisions of Baylight's that differ are stored apart, and Baylight sends no downlink.
CREATE OR REPLACE FUNCTION v2_migration.divert_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT owner FROM v2_migration.control) = 'baylight' THEN
        RETURN NEW;
    END IF;
    IF NEW.current_state <> OLD.current_state THEN
        INSERT INTO v2_migration.observed_decisions AS d (space_id, state, reason)
        VALUES (NEW.id, NEW.current_state, NEW.state_reason)
        ON CONFLICT (space_id) DO UPDATE SET state = excluded.state, reason = excluded.reason,
            decided_at = CASE WHEN d.state = excluded.state THEN d.decided_at ELSE excluded.decided_at END;
        NEW.current_state := OLD.current_state;
        NEW.current_state_at := OLD.current_state_at;
        NEW.state_reason := OLD.state_reason;
    ELSE
        DELETE FROM v2_migration.observed_decisions WHERE space_id = NEW.id AND state <> NEW.current_state;
    END IF;
    RETURN NEW;
END
$$;

-- Rows that Baylight writes only if it decides: state changes; the end of a reservation, which V2's own timers end at the
-- moment at which they decide its space; conditions of displays that another program commands, which is V2.
CREATE OR REPLACE FUNCTION v2_migration.divert_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT owner FROM v2_migration.control) = 'v2' THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.hold_downlink() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT owner FROM v2_migration.control) = 'v2' THEN
        RAISE EXCEPTION 'V2 sends the downlinks until the switch' USING ERRCODE = 'lock_not_available';
    END IF;
    RETURN NEW;
END
$$;
