-- Functions that carry reservations, the history of states, and API keys.

-- Create or correct one reservation. The caller holds V2's row.
CREATE OR REPLACE FUNCTION v2_migration.carry_reservation(wanted_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO baylight_next.reservations AS r (
        id, space_id, start_time, end_time, user_email, user_phone, status, metadata, created_at, updated_at,
        created_by
    )
    SELECT l.id, l.space_id, v2_migration.needed_time(l.start_time), v2_migration.needed_time(l.end_time), l.user_email,
           l.user_phone, l.status, l.metadata, v2_migration.needed_time(l.created_at),
           v2_migration.needed_time(l.updated_at), 'v2'
    FROM public.reservations AS l
    WHERE l.id = wanted_id
    ON CONFLICT (id) DO UPDATE SET
        space_id = excluded.space_id, start_time = excluded.start_time, end_time = excluded.end_time,
        user_email = excluded.user_email, user_phone = excluded.user_phone, status = excluded.status,
        metadata = excluded.metadata;
END
$$;

-- Of two reservations that overlap, the one that was created first is carried over. The others, and those with too big
-- metadata or a time that Baylight cannot read, are carried or quarantined one by one.
CREATE OR REPLACE FUNCTION v2_migration.carry_new_reservations(candidates uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ids uuid[];
    one uuid;
BEGIN
    SELECT array_agg(t.id) INTO ids FROM (
        SELECT l.id FROM public.reservations AS l
        WHERE l.id = ANY(candidates)
          AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
        FOR SHARE OF l SKIP LOCKED
    ) AS t;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM set_config('baylight.v2_sync', 'on', true);
    INSERT INTO baylight_next.reservations (
        id, space_id, start_time, end_time, user_email, user_phone, status, metadata, created_at, updated_at, created_by
    )
    SELECT l.id, l.space_id, l.start_time, l.end_time, l.user_email, l.user_phone, l.status, l.metadata,
           l.created_at, l.updated_at, 'v2'
    FROM public.reservations AS l
    INNER JOIN baylight_next.spaces AS s ON s.id = l.space_id
    WHERE l.id = ANY(ids) AND coalesce(baylight_next.json_is_bounded(l.metadata), true)
      AND v2_migration.is_plain_time(l.start_time) AND v2_migration.is_plain_time(l.end_time)
      AND v2_migration.is_plain_time(l.created_at) AND v2_migration.is_plain_time(l.updated_at)
    ORDER BY l.created_at, l.id
    ON CONFLICT DO NOTHING;
    PERFORM set_config('baylight.v2_sync', '', true);
    FOR one IN
        SELECT l.id FROM public.reservations AS l
        WHERE l.id = ANY(ids) AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
        ORDER BY l.created_at, l.id
    LOOP
        PERFORM v2_migration.follow_or_quarantine('reservations', one::text);
    END LOOP;
    RETURN cardinality(ids);
END
$$;

-- Create one row of the history, unless Baylight has it or has no such space.
CREATE OR REPLACE FUNCTION v2_migration.carry_state_change(wanted_id bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    bulk_before text := coalesce(current_setting('baylight.v2_bulk', true), '');
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true);
    INSERT INTO baylight_next.state_changes (
        id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
    )
    SELECT l.id, l.space_id, l.previous_state, l.new_state, l.source, l.request_id, l.metadata,
           v2_migration.needed_time(l."timestamp")
    FROM public.state_changes AS l
    INNER JOIN baylight_next.spaces AS s ON s.id = l.space_id
    WHERE l.id = wanted_id
    ON CONFLICT (id) DO NOTHING;
    PERFORM set_config('baylight.v2_sync', before, true), set_config('baylight.v2_bulk', bulk_before, true);
END
$$;

-- V2's ids are kept; Baylight's own begin far above them (see the step "tables").
CREATE OR REPLACE FUNCTION v2_migration.carry_state_changes(first_id bigint, last_id bigint) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off
AS $$
DECLARE
    carried integer;
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true);
    INSERT INTO baylight_next.state_changes (
        id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
    )
    SELECT l.id, l.space_id, l.previous_state, l.new_state, l.source, l.request_id, l.metadata, l."timestamp"
    FROM public.state_changes AS l
    INNER JOIN baylight_next.spaces AS s ON s.id = l.space_id
    WHERE l.id BETWEEN first_id AND last_id AND v2_migration.is_plain_time(l."timestamp")
    ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS carried = ROW_COUNT;
    PERFORM set_config('baylight.v2_sync', '', true), set_config('baylight.v2_bulk', '', true);
    RETURN carried;
END
$$;

-- A key that has been converted to a fast hash keeps it. Ids that people have written may begin alike, so the prefix is
-- made of a hash of the id. A time that Baylight cannot read is left out: people only read when a key was used.
CREATE OR REPLACE FUNCTION v2_migration.carry_api_keys(ids uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    carried integer;
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    INSERT INTO baylight_next.api_keys AS k (
        id, key_hash, key_name, last_used_at, is_active, created_at, is_admin, key_prefix, scopes, created_by, revoked_at
    )
    SELECT l.id, l.key_hash, l.key_name, v2_migration.plain_time(l.last_used_at), coalesce(l.is_active, false),
           v2_migration.plain_time(l.created_at), coalesce(l.is_admin, false), 'v2_' || left(md5(l.id::text), 13),
           CASE WHEN l.is_admin THEN '{read,write,admin}' ELSE '{read,write}' END::text[], 'v2',
           CASE WHEN NOT coalesce(l.is_active, false) THEN now() END
    FROM public.api_keys AS l WHERE l.id = ANY(ids)
    ON CONFLICT (id) DO UPDATE SET
        key_name = excluded.key_name, is_active = excluded.is_active, is_admin = excluded.is_admin,
        scopes = CASE WHEN k.is_admin = excluded.is_admin THEN k.scopes ELSE excluded.scopes END,
        revoked_at = CASE WHEN excluded.is_active THEN NULL ELSE coalesce(k.revoked_at, excluded.revoked_at) END;
    GET DIAGNOSTICS carried = ROW_COUNT;
    PERFORM set_config('baylight.v2_sync', before, true);
    RETURN carried;
END
$$;
