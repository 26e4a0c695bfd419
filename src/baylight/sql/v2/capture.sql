-- When V2 writes, Baylight's rows follow in the same transaction. No write of V2 fails or is lost because of this, and
-- none waits for more than 5 ms, once in a transaction: a row that cannot follow now waits in the queue. See ADR 26.

-- Note what has happened to rows that could not follow: the quarantine has those whose values are refused, and the queue
-- all of them if one must wait. Everything else that the transaction captures then waits too, without a try.
CREATE OR REPLACE FUNCTION v2_migration.follow_later(of_table text, ids text[], code text, message text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    why text := code || ' ' || message;
BEGIN
    IF NOT v2_migration.not_now(code) THEN
        BEGIN
            PERFORM v2_migration.follow_or_quarantine(of_table, u.id) FROM unnest(ids) AS u (id);
            RETURN;
        EXCEPTION WHEN OTHERS THEN
            why := SQLSTATE || ' ' || SQLERRM;
        END;
    END IF;
    PERFORM set_config('baylight.v2_queue', 'on', true);
    PERFORM v2_migration.enqueue(of_table, ids, why);
END
$$;

-- Return whether all that this transaction writes goes to the queue without a try: a try has failed, or it keeps a snapshot
-- that may be older than Baylight's rows.
CREATE OR REPLACE FUNCTION v2_migration.queues_all() RETURNS boolean
LANGUAGE sql STABLE
RETURN coalesce(current_setting('baylight.v2_queue', true), '') = 'on'
    OR current_setting('transaction_isolation') IN ('repeatable read', 'serializable');

-- Return whether rows go to the queue without a try: they are too many for V2 to wait for, or the transaction queues all.
CREATE OR REPLACE FUNCTION v2_migration.is_for_later(ids text[]) RETURNS boolean
LANGUAGE sql STABLE
RETURN cardinality(ids) > 50 OR v2_migration.queues_all();

CREATE OR REPLACE FUNCTION v2_migration.capture_spaces() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms'
AS $$
DECLARE
    ids text[];
    states text[];  -- ids of those of which only the state has changed
BEGIN
    -- Up to the block that catches errors, this reads no table that another session may have locked.
    IF TG_OP = 'INSERT' THEN
        ids := ARRAY(SELECT n.id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        ids := ARRAY(SELECT o.id FROM old_rows AS o);
    ELSE
        SELECT array_agg(coalesce(n.id, o.id) ORDER BY n.id IS NOT NULL), array_agg(n.id) FILTER (WHERE NOT w.whole)
        INTO ids, states
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id
        CROSS JOIN LATERAL (
            SELECT (n.name, n.code, n.sensor_eui, n.display_eui, n.building, n.floor, n.zone, n.gps_latitude,
                    n.gps_longitude, n.metadata, n.deleted_at)
                IS DISTINCT FROM (o.name, o.code, o.sensor_eui, o.display_eui, o.building, o.floor, o.zone,
                    o.gps_latitude, o.gps_longitude, o.metadata, o.deleted_at) AS whole
        ) AS w
        WHERE w.whole OR n.state <> o.state;
    END IF;
    IF ids IS NULL OR ids = '{}' THEN
        RETURN NULL;
    ELSIF v2_migration.is_for_later(ids) THEN
        BEGIN
            IF TG_OP = 'UPDATE' AND NOT v2_migration.queues_all()
                AND NOT EXISTS (SELECT FROM v2_migration.steps AS t WHERE t.name = 'spaces' AND t.done_at IS NOT NULL)
            THEN  -- the backfill carries the others: it waits until V2 releases the last row that is not there
                ids := ARRAY(
                    SELECT u.id FROM unnest(ids) AS u (id)
                    WHERE EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = u.id::uuid)
                       OR EXISTS (SELECT FROM v2_migration.quarantine AS q WHERE q.source_table = 'spaces' AND q.source_id = u.id)
                );
            END IF;
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- too many entries do no harm
        END;
        PERFORM v2_migration.enqueue('spaces', ids, 'behind another, or one of many');
        RETURN NULL;
    END IF;
    BEGIN
        states := ARRAY(
            SELECT u.id FROM unnest(states) AS u (id) WHERE NOT EXISTS (
                SELECT FROM v2_migration.quarantine AS q
                WHERE q.source_table = 'spaces' AND q.source_id = u.id AND q.field = '*'
            )
        );
        IF states <> '{}' THEN
            PERFORM set_config('baylight.v2_sync', 'on', true);
            UPDATE baylight_next.spaces AS s SET current_state = n.state, current_state_at = clock_timestamp()
            FROM new_rows AS n WHERE n.id::text = ANY(states) AND s.id = n.id;
            PERFORM set_config('baylight.v2_sync', '', true);
        END IF;
        PERFORM v2_migration.follow_space(u.id::uuid) FROM unnest(ids) AS u (id) WHERE u.id <> ALL(states);
    EXCEPTION WHEN OTHERS THEN
        PERFORM v2_migration.follow_later('spaces', ids, SQLSTATE, SQLERRM);
    END;
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
        BEGIN
            INSERT INTO v2_migration.ignored_writes AS w (space_id, state) VALUES (NEW.id, NEW.state)
            ON CONFLICT (space_id) DO UPDATE
            SET state = excluded.state, times = w.times + 1, last_at = excluded.last_at;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'not noted: %', SQLERRM;  -- a note is not worth a write of V2's
        END;
        NEW.state := OLD.state;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_reservations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms'
AS $$
DECLARE
    ids text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        ids := ARRAY(SELECT n.id FROM new_rows AS n);
    ELSIF TG_OP = 'DELETE' THEN
        ids := ARRAY(SELECT o.id FROM old_rows AS o);
    ELSE
        ids := ARRAY(
            SELECT o.id FROM old_rows AS o WHERE NOT EXISTS (SELECT FROM new_rows AS n WHERE n.id = o.id)
            UNION ALL
            SELECT n.id FROM new_rows AS n
        );
    END IF;
    IF ids = '{}' THEN
        RETURN NULL;
    ELSIF v2_migration.is_for_later(ids) THEN
        PERFORM v2_migration.enqueue('reservations', ids, 'behind another, or one of many');
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM v2_migration.follow_reservation(u.id::uuid) FROM unnest(ids) AS u (id);
    EXCEPTION WHEN OTHERS THEN
        PERFORM v2_migration.follow_later('reservations', ids, SQLSTATE, SQLERRM);
    END;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.capture_state_changes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms'
AS $$
DECLARE
    ids text[] := ARRAY(SELECT a.id FROM added AS a);
BEGIN
    IF ids = '{}' OR current_setting('baylight.v2_sync', true) IS NOT DISTINCT FROM 'on' THEN
        RETURN NULL;
    ELSIF v2_migration.queues_all() THEN
        PERFORM v2_migration.enqueue('state_changes', ids, 'behind another, or one of many');
        RETURN NULL;
    END IF;
    BEGIN
        -- Not announced: transactions that notify commit one after the other, each after its write to the disk.
        PERFORM set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true);
        -- One query, so that it cannot miss a space that another session takes from the queue meanwhile.
        WITH waiting AS (
            INSERT INTO v2_migration.queue (source_table, source_id, reason)
            SELECT 'state_changes', a.id::text, 'its space waits too' FROM added AS a
            WHERE NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = a.space_id)
              AND v2_migration.is_queued('spaces', ARRAY[a.space_id::text])
            ORDER BY a.id
        )
        INSERT INTO baylight_next.state_changes (
            id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
        )
        SELECT a.id, a.space_id, a.previous_state, a.new_state, a.source, a.request_id, a.metadata,
               v2_migration.needed_time(a."timestamp")
        FROM added AS a
        INNER JOIN baylight_next.spaces AS s ON s.id = a.space_id
        ON CONFLICT (id) DO NOTHING;
        PERFORM set_config('baylight.v2_sync', '', true), set_config('baylight.v2_bulk', '', true);
    EXCEPTION WHEN OTHERS THEN
        PERFORM v2_migration.follow_later('state_changes', ids, SQLSTATE, SQLERRM);
    END;
    RETURN NULL;
END
$$;

-- By row, because V2 writes at each use of a key that it was used, and only a trigger of rows can leave that column out.
CREATE OR REPLACE FUNCTION v2_migration.capture_api_key() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '5ms'
AS $$
DECLARE
    ids text[];
BEGIN
    IF TG_OP <> 'INSERT' THEN
        ids := ARRAY[OLD.id];
    END IF;
    IF TG_OP <> 'DELETE' AND ids IS DISTINCT FROM ARRAY[NEW.id::text] THEN
        ids := ids || NEW.id::text;
    END IF;
    IF v2_migration.is_for_later(ids) THEN
        PERFORM v2_migration.enqueue('api_keys', ids, 'behind another, or one of many');
        RETURN NULL;
    END IF;
    BEGIN
        PERFORM v2_migration.follow_api_key(u.id::uuid) FROM unnest(ids) AS u (id);
    EXCEPTION WHEN OTHERS THEN
        PERFORM v2_migration.follow_later('api_keys', ids, SQLSTATE, SQLERRM);
    END;
    RETURN NULL;
END
$$;
