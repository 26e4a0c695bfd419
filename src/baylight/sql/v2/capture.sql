-- When V2 writes, Baylight's rows follow in the same transaction. No write of V2 is refused or fails because of this.

-- Carry one space. If the new schema refuses it, quarantine it as a whole. The caller holds V2's row.
CREATE OR REPLACE FUNCTION v2_migration.carry_or_quarantine(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM v2_migration.carry_spaces(ARRAY[wanted_id]);
EXCEPTION WHEN OTHERS THEN
    INSERT INTO v2_migration.quarantine (source_table, source_id, field, reason, detail)
    VALUES ('spaces', wanted_id::text, '*', 'refused', SQLSTATE || ' ' || SQLERRM)
    ON CONFLICT (source_table, source_id, field) DO UPDATE SET detail = excluded.detail, at = excluded.at;
END
$$;

-- Do the same for rows that the caller does not hold. Rows that V2 is writing at this moment are left out.
CREATE OR REPLACE FUNCTION v2_migration.carry_one_by_one(candidates uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one uuid;
    carried integer := 0;
BEGIN
    FOR one IN SELECT l.id FROM public.spaces AS l WHERE l.id = ANY(candidates) FOR SHARE OF l SKIP LOCKED LOOP
        PERFORM v2_migration.carry_or_quarantine(one);
        carried := carried + 1;
    END LOOP;
    RETURN carried;
END
$$;

-- Carry again the spaces that were refused a device which is free now.
CREATE OR REPLACE FUNCTION v2_migration.carry_waiting(eui text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting uuid;
BEGIN
    IF eui IS NULL THEN
        RETURN;
    END IF;
    -- The space that got it by the operator's choice keeps it. Once V2 has released it there, the oldest space gets it.
    DELETE FROM v2_migration.contested AS c WHERE c.role = 'sensor' AND c.eui = lower(carry_waiting.eui)
        AND c.reason = 'contested_sensor'
        AND NOT EXISTS (
            SELECT FROM public.spaces AS l
            WHERE l.id = c.winner AND l.deleted_at IS NULL AND lower(l.sensor_eui) = c.eui
        );
    FOR waiting IN
        SELECT l.id FROM v2_migration.quarantine AS q
        INNER JOIN public.spaces AS l ON l.id = q.source_id::uuid
        WHERE q.source_table = 'spaces' AND q.reason = 'contested_sensor' AND lower(q.value) = lower(carry_waiting.eui)
        ORDER BY l.created_at, l.id
        FOR SHARE OF l SKIP LOCKED
    LOOP
        PERFORM v2_migration.carry_or_quarantine(waiting);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_space() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.id = OLD.id AND NEW.name = OLD.name AND NEW.code = OLD.code
        AND (NEW.sensor_eui, NEW.display_eui, NEW.building, NEW.floor, NEW.zone, NEW.gps_latitude, NEW.gps_longitude,
             NEW.metadata, NEW.deleted_at)
        IS NOT DISTINCT FROM (OLD.sensor_eui, OLD.display_eui, OLD.building, OLD.floor, OLD.zone, OLD.gps_latitude,
             OLD.gps_longitude, OLD.metadata, OLD.deleted_at)
    THEN
        IF NEW.state <> OLD.state THEN
            PERFORM set_config('baylight.v2_sync', 'on', true);
            UPDATE baylight_next.spaces SET current_state = NEW.state, current_state_at = clock_timestamp()
            WHERE id = NEW.id;
            PERFORM set_config('baylight.v2_sync', '', true);
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND NEW.id <> OLD.id) THEN
        PERFORM set_config('baylight.v2_sync', 'on', true);
        UPDATE baylight_next.spaces
        SET deleted_at = coalesce(deleted_at, clock_timestamp()), sensor_device_id = NULL, display_device_id = NULL
        WHERE id = OLD.id;
        IF FOUND THEN
            INSERT INTO v2_migration.quarantine (source_table, source_id, field, reason)
            VALUES ('spaces', OLD.id::text, '*', 'deleted_by_v2') ON CONFLICT DO NOTHING;
        END IF;
        DELETE FROM v2_migration.residue WHERE space_id = OLD.id;
        PERFORM set_config('baylight.v2_sync', '', true);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM v2_migration.carry_or_quarantine(NEW.id);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM v2_migration.carry_waiting(v2_migration.canon_eui(OLD.sensor_eui));
    END IF;
    RETURN NULL;
END
$$;

-- After the switch `state` is a copy of Baylight's decision. A state that V2 writes is accepted and noted,
-- and has no effect.
CREATE OR REPLACE FUNCTION v2_migration.keep_state() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT owner FROM v2_migration.control) = 'baylight' THEN
        INSERT INTO v2_migration.ignored_writes AS w (space_id, state) VALUES (NEW.id, NEW.state)
        ON CONFLICT (space_id) DO UPDATE
        SET state = excluded.state, times = w.times + 1, last_at = excluded.last_at;
        NEW.state := OLD.state;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_reservation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    waiting uuid;
BEGIN
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR NEW.id <> OLD.id) THEN
        PERFORM set_config('baylight.v2_sync', 'on', true);
        DELETE FROM baylight_next.reservations WHERE id = OLD.id;
        DELETE FROM v2_migration.quarantine WHERE source_table = 'reservations' AND source_id = OLD.id::text;
        PERFORM set_config('baylight.v2_sync', '', true);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM v2_migration.carry_reservation(NEW.id);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        FOR waiting IN
            SELECT l.id FROM v2_migration.quarantine AS q
            INNER JOIN public.reservations AS l ON l.id = q.source_id::uuid
            WHERE q.source_table = 'reservations' AND q.value = OLD.space_id::text AND l.id <> OLD.id
            ORDER BY l.created_at, l.id
            FOR SHARE OF l SKIP LOCKED
        LOOP
            PERFORM v2_migration.carry_reservation(waiting);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_state_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('baylight.v2_sync', true) IS NOT DISTINCT FROM 'on' THEN
        RETURN NULL;
    END IF;
    -- Not announced: transactions that notify commit one after the other, each after its write to the disk.
    PERFORM set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true);
    INSERT INTO baylight_next.state_changes (
        id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
    )
    SELECT a.id, a.space_id, a.previous_state, a.new_state, a.source, a.request_id, a.metadata, a."timestamp"
    FROM added AS a
    INNER JOIN baylight_next.spaces AS s ON s.id = a.space_id
    ON CONFLICT (id) DO NOTHING;
    PERFORM set_config('baylight.v2_sync', '', true), set_config('baylight.v2_bulk', '', true);
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_api_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR NEW.id <> OLD.id) THEN
        DELETE FROM baylight_next.api_keys WHERE id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM v2_migration.carry_api_keys(ARRAY[NEW.id]);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.key_hash <> OLD.key_hash THEN
        UPDATE baylight_next.api_keys SET key_hash = NEW.key_hash WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
