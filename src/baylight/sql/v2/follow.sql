-- One row of Baylight follows V2's row as that is now, whatever happened to it: for V2's triggers, the queue, and the
-- backfill of rows that cannot be carried in bulk.

-- Return whether an error says "not now". All others blame the values: data, constraints, limits, RAISE. An error that
-- is in neither group, like a missing right, must not hide in the quarantine.
CREATE OR REPLACE FUNCTION v2_migration.not_now(code text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(code, 2) NOT IN ('22', '23', '44', '54', 'P0');

-- Note rows that must be followed later. This waits for no transaction: the table has no unique key but its own counter. It
-- waits for another session that adds a page to the table at this moment, however busy the machine is.
CREATE OR REPLACE FUNCTION v2_migration.enqueue(of_table text, ids text[], why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = 0
AS $$
BEGIN
    INSERT INTO v2_migration.queue (source_table, source_id, reason)
    SELECT of_table, u.id, why FROM unnest(ids) WITH ORDINALITY AS u (id, n) ORDER BY u.n;
END
$$;

-- Return whether a row of V2's waits to be followed.
CREATE OR REPLACE FUNCTION v2_migration.is_queued(of_table text, ids text[]) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM v2_migration.queue AS q WHERE q.source_table = of_table AND q.source_id = ANY(ids));

-- Let the spaces that were refused a device which is free now follow again. They are rows that another transaction of
-- V2's may be writing, so they are not touched here.
CREATE OR REPLACE FUNCTION v2_migration.release_sensor(eui text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- The space that got it by the operator's choice keeps it. Once V2 has released it there, the oldest space gets it.
    DELETE FROM v2_migration.contested AS c WHERE c.role = 'sensor' AND c.eui = release_sensor.eui
        AND c.reason = 'contested_sensor'
        AND NOT EXISTS (
            SELECT FROM public.spaces AS l
            WHERE l.id = c.winner AND l.deleted_at IS NULL AND lower(l.sensor_eui) = c.eui
        );
    PERFORM v2_migration.enqueue('spaces', array_agg(l.id::text ORDER BY l.created_at, l.id), 'its sensor is free now')
    FROM v2_migration.quarantine AS q
    INNER JOIN public.spaces AS l ON l.id = q.source_id::uuid
    WHERE q.source_table = 'spaces' AND q.reason = 'contested_sensor' AND lower(q.value) = release_sensor.eui;
END
$$;

-- A code can have gone from one space to another in V2 while the first waits in the queue. Then Baylight's row of the first
-- gets another code until its turn comes, since two spaces that exchanged their codes would refuse each other for ever.
CREATE OR REPLACE FUNCTION v2_migration.free_code(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    holder uuid;
BEGIN
    SELECT s.id INTO holder
    FROM public.spaces AS l
    INNER JOIN baylight_next.spaces AS s ON s.code = l.code AND s.id <> l.id AND s.deleted_at IS NULL
    WHERE l.id = wanted_id AND l.deleted_at IS NULL
      AND NOT EXISTS (SELECT FROM public.spaces AS h WHERE h.id = s.id AND h.code = s.code AND h.deleted_at IS NULL);
    IF FOUND THEN
        PERFORM set_config('baylight.v2_sync', 'on', true);
        UPDATE baylight_next.spaces SET code = left(id::text, 20) WHERE id = holder;
        PERFORM set_config('baylight.v2_sync', before, true);
        PERFORM v2_migration.enqueue('spaces', ARRAY[holder::text], 'another space has its code');
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.follow_space(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- To plan the queries again for each row would take three quarters of its time, here and in the functions called.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    -- The sensors that it has or asks for in Baylight.
    sensors text[] := ARRAY(
        SELECT s.sensor_deveui FROM baylight_next.spaces AS s WHERE s.id = wanted_id AND s.sensor_deveui IS NOT NULL
        UNION
        SELECT lower(q.value) FROM v2_migration.quarantine AS q
        WHERE q.source_table = 'spaces' AND q.source_id = wanted_id::text AND q.reason = 'contested_sensor'
    );
    refused boolean := EXISTS (
        SELECT FROM v2_migration.quarantine AS q
        WHERE q.source_table = 'spaces' AND q.source_id = wanted_id::text AND q.field = '*'
    );
    sensor text;
BEGIN
    IF EXISTS (SELECT FROM public.spaces AS l WHERE l.id = wanted_id) THEN
        PERFORM v2_migration.free_code(wanted_id);
        PERFORM v2_migration.carry_spaces(ARRAY[wanted_id]);
        IF refused THEN
            PERFORM v2_migration.enqueue('reservations', array_agg(l.id::text ORDER BY l.created_at, l.id), 'its space was refused')
            FROM public.reservations AS l
            WHERE l.space_id = wanted_id AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id);
            PERFORM v2_migration.enqueue('state_changes', array_agg(l.id::text ORDER BY l.id), 'its space was refused')
            FROM public.state_changes AS l
            WHERE l.space_id = wanted_id AND NOT EXISTS (SELECT FROM baylight_next.state_changes AS c WHERE c.id = l.id);
        END IF;
    ELSE
        PERFORM set_config('baylight.v2_sync', 'on', true);
        UPDATE baylight_next.spaces
        SET deleted_at = coalesce(deleted_at, clock_timestamp()), sensor_device_id = NULL, display_device_id = NULL
        WHERE id = wanted_id;
        IF FOUND THEN
            INSERT INTO v2_migration.quarantine (source_table, source_id, field, reason)
            VALUES ('spaces', wanted_id::text, '*', 'deleted_by_v2') ON CONFLICT DO NOTHING;
        END IF;
        DELETE FROM v2_migration.residue WHERE space_id = wanted_id;
        PERFORM set_config('baylight.v2_sync', before, true);
    END IF;
    FOR sensor IN
        SELECT u.eui FROM unnest(sensors) AS u (eui) WHERE NOT EXISTS (
            SELECT FROM public.spaces AS l
            WHERE l.id = wanted_id AND l.deleted_at IS NULL AND v2_migration.canon_eui(l.sensor_eui) = u.eui
        )
    LOOP
        PERFORM v2_migration.release_sensor(sensor);
    END LOOP;
END
$$;

-- Let the reservations that overlapped with one follow again, because it is active no longer at its time.
CREATE OR REPLACE FUNCTION v2_migration.release_time(of_space uuid, but uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM v2_migration.enqueue('reservations', array_agg(l.id::text ORDER BY l.created_at, l.id), 'its time is free now')
    FROM v2_migration.quarantine AS q
    INNER JOIN public.reservations AS l ON l.id = q.source_id::uuid
    WHERE q.source_table = 'reservations' AND q.reason = 'overlap' AND q.value = of_space::text AND l.id <> but;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.follow_reservation(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    had record;
    has record;
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    DELETE FROM v2_migration.quarantine WHERE source_table = 'reservations' AND source_id = wanted_id::text;
    SELECT r.space_id, r.during INTO had FROM baylight_next.reservations AS r WHERE r.id = wanted_id AND r.status = 'active';
    -- One query, so that it cannot miss a space that another session takes from the queue meanwhile.
    SELECT s.id IS NOT NULL AS space, v2_migration.is_queued('spaces', ARRAY[l.space_id::text]) AS queued INTO has
    FROM public.reservations AS l
    LEFT JOIN baylight_next.spaces AS s ON s.id = l.space_id
    WHERE l.id = wanted_id;
    IF NOT FOUND THEN
        DELETE FROM baylight_next.reservations WHERE id = wanted_id;
    ELSIF has.space THEN
        PERFORM v2_migration.carry_reservation(wanted_id);
    ELSIF has.queued THEN
        RAISE EXCEPTION 'its space waits too' USING ERRCODE = 'lock_not_available';
    END IF;  -- else its space is quarantined, or the backfill carries both
    IF had.space_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM baylight_next.reservations AS r
        WHERE r.id = wanted_id AND r.status = 'active' AND r.space_id = had.space_id AND r.during @> had.during
    ) THEN
        PERFORM v2_migration.release_time(had.space_id, wanted_id);
    END IF;
    PERFORM set_config('baylight.v2_sync', before, true);
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.follow_state_change(wanted_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM v2_migration.quarantine WHERE source_table = 'state_changes' AND source_id = wanted_id::text;
    IF EXISTS (
        SELECT FROM public.state_changes AS l WHERE l.id = wanted_id
          AND NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.space_id)
          AND v2_migration.is_queued('spaces', ARRAY[l.space_id::text])
    ) THEN
        RAISE EXCEPTION 'its space waits too' USING ERRCODE = 'lock_not_available';
    END IF;
    PERFORM v2_migration.carry_state_change(wanted_id);
END
$$;

-- Do not keep the fast hash of a key that V2 may have changed. The next use of the key makes it again.
CREATE OR REPLACE FUNCTION v2_migration.follow_api_key(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
BEGIN
    DELETE FROM v2_migration.quarantine WHERE source_table = 'api_keys' AND source_id = wanted_id::text;
    IF v2_migration.carry_api_keys(ARRAY[wanted_id]) = 0 THEN
        DELETE FROM baylight_next.api_keys WHERE id = wanted_id;
        RETURN;
    END IF;
    PERFORM set_config('baylight.v2_sync', 'on', true);
    UPDATE baylight_next.api_keys AS k SET key_hash = l.key_hash
    FROM public.api_keys AS l WHERE l.id = wanted_id AND k.id = l.id AND k.key_hash <> l.key_hash;
    PERFORM set_config('baylight.v2_sync', before, true);
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.follow(of_table text, of_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE of_table
        WHEN 'spaces' THEN PERFORM v2_migration.follow_space(of_id::uuid);
        WHEN 'reservations' THEN PERFORM v2_migration.follow_reservation(of_id::uuid);
        WHEN 'state_changes' THEN PERFORM v2_migration.follow_state_change(of_id::bigint);
        WHEN 'api_keys' THEN PERFORM v2_migration.follow_api_key(of_id::uuid);
    END CASE;
END
$$;

-- Quarantine a row as a whole. Baylight keeps what it has of a space. It has no reservation that differs from V2's, and
-- refuses a key that V2 refuses.
CREATE OR REPLACE FUNCTION v2_migration.quarantine_row(of_table text, of_id text, code text, message text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    had record;
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    IF of_table = 'reservations' THEN
        DELETE FROM baylight_next.reservations AS r WHERE r.id = of_id::uuid RETURNING r.space_id, r.status INTO had;
        IF had.status = 'active' THEN
            PERFORM v2_migration.release_time(had.space_id, of_id::uuid);
        END IF;
    ELSIF of_table = 'api_keys' THEN
        UPDATE baylight_next.api_keys AS k SET is_active = false, revoked_at = coalesce(k.revoked_at, now())
        FROM public.api_keys AS l WHERE l.id = of_id::uuid AND k.id = l.id AND k.is_active AND l.is_active IS NOT TRUE;
    END IF;
    INSERT INTO v2_migration.quarantine (source_table, source_id, field, value, reason, detail)
    VALUES (of_table, of_id, '*',
            CASE WHEN of_table = 'reservations' THEN (SELECT l.space_id FROM public.reservations AS l WHERE l.id = of_id::uuid) END,
            CASE WHEN of_table = 'reservations' AND code = '23P01' THEN 'overlap' ELSE 'refused' END, code || ' ' || message)
    ON CONFLICT (source_table, source_id, field)
    DO UPDATE SET value = excluded.value, reason = excluded.reason, detail = excluded.detail, at = excluded.at;
    PERFORM set_config('baylight.v2_sync', before, true);
END
$$;

-- Follow one row. If its values are refused, quarantine it as a whole. The caller holds V2's row.
CREATE OR REPLACE FUNCTION v2_migration.follow_or_quarantine(of_table text, of_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM v2_migration.follow(of_table, of_id);
EXCEPTION WHEN OTHERS THEN
    IF v2_migration.not_now(SQLSTATE) THEN
        RAISE;
    END IF;
    PERFORM v2_migration.quarantine_row(of_table, of_id, SQLSTATE, SQLERRM);
END
$$;

-- Hold V2's row until the end of the transaction. Return false if another session writes it. A row that V2 does not have
-- counts as held. V2 only adds to its history, so a row of that needs no lock.
CREATE OR REPLACE FUNCTION v2_migration.hold(of_table text, of_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF of_table = 'spaces' THEN
        PERFORM FROM public.spaces AS l WHERE l.id = of_id::uuid FOR NO KEY UPDATE SKIP LOCKED;
        RETURN FOUND OR NOT EXISTS (SELECT FROM public.spaces AS l WHERE l.id = of_id::uuid);
    ELSIF of_table = 'reservations' THEN
        PERFORM FROM public.reservations AS l WHERE l.id = of_id::uuid FOR NO KEY UPDATE SKIP LOCKED;
        RETURN FOUND OR NOT EXISTS (SELECT FROM public.reservations AS l WHERE l.id = of_id::uuid);
    ELSIF of_table = 'api_keys' THEN
        PERFORM FROM public.api_keys AS l WHERE l.id = of_id::uuid FOR NO KEY UPDATE SKIP LOCKED;
        RETURN FOUND OR NOT EXISTS (SELECT FROM public.api_keys AS l WHERE l.id = of_id::uuid);
    END IF;
    RETURN true;
END
$$;

-- Follow each of these rows, or quarantine it. Leave out rows that V2 is writing at this moment. Return how many it did.
CREATE OR REPLACE FUNCTION v2_migration.follow_each(of_table text, ids text[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    one text;
    followed integer := 0;
BEGIN
    FOREACH one IN ARRAY ids LOOP
        IF v2_migration.hold(of_table, one) THEN
            PERFORM v2_migration.follow_or_quarantine(of_table, one);
            followed := followed + 1;
        END IF;
    END LOOP;
    RETURN followed;
END
$$;

-- Follow the rows that wait, those with the fewest tries first, and return how many rows it did. V2 may wait for a row
-- that this holds, so it ends after some 20 ms, whatever is left. Entries of one row count as one.
CREATE OR REPLACE FUNCTION v2_migration.drain(entries integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms'
AS $$
DECLARE
    ends timestamptz := clock_timestamp() + interval '20 ms';
    entry record;
    seen bigint[];
    followed integer := 0;
BEGIN
    FOR entry IN SELECT q.source_table, q.source_id FROM v2_migration.queue AS q ORDER BY q.tries, q.id LIMIT entries LOOP
        -- Entries that are added from here on stay, even if this try sees the writes that they are about.
        seen := ARRAY(
            SELECT q.id FROM v2_migration.queue AS q
            WHERE q.source_table = entry.source_table AND q.source_id = entry.source_id
            FOR UPDATE SKIP LOCKED
        );
        CONTINUE WHEN seen = '{}';
        BEGIN
            IF NOT v2_migration.hold(entry.source_table, entry.source_id) THEN
                RAISE EXCEPTION 'another session holds V2''s row' USING ERRCODE = 'lock_not_available';
            END IF;
            PERFORM v2_migration.follow_or_quarantine(entry.source_table, entry.source_id);
            -- A state that V2 wrote before the switch gives way to Baylight's decision.
            PERFORM v2_migration.reflect_state(s.id, s.current_state) FROM baylight_next.spaces AS s
            WHERE entry.source_table = 'spaces' AND s.id = entry.source_id::uuid
              AND (SELECT c.owner FROM v2_migration.control AS c) = 'baylight';
            DELETE FROM v2_migration.queue WHERE id = ANY(seen);
            followed := followed + 1;
        EXCEPTION WHEN OTHERS THEN
            UPDATE v2_migration.queue SET tries = tries + 1, reason = SQLSTATE || ' ' || SQLERRM WHERE id = ANY(seen);
        END;
        EXIT WHEN clock_timestamp() > ends;
    END LOOP;
    -- The other way round: V2's states follow Baylight's decisions.
    BEGIN
        IF EXISTS (SELECT FROM v2_migration.late_states) THEN
            PERFORM v2_migration.reflect_late_states();
        END IF;
    EXCEPTION WHEN OTHERS THEN  -- a trigger of the customer's, perhaps; what has followed stays so
        RAISE WARNING 'V2''s states do not follow: %', SQLERRM;
    END;
    RETURN followed;
END
$$;
