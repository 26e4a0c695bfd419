-- name: our_names
-- Names that Baylight's things will have in the schema public: tables, indexes, sequences, types and functions.
SELECT CASE c.relkind WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
       c.relname::text AS name, '' AS arguments
FROM pg_class AS c WHERE c.relnamespace = 'baylight_next'::regnamespace AND c.relkind NOT IN ('t', 'c')
UNION ALL
SELECT 'type', t.typname::text, '' FROM pg_type AS t
WHERE t.typnamespace = 'baylight_next'::regnamespace
UNION ALL
SELECT 'function', p.proname::text, pg_get_function_identity_arguments(p.oid) FROM pg_proc AS p
WHERE p.pronamespace = 'baylight_next'::regnamespace
UNION ALL
SELECT 'index', q.name, '' FROM v2_migration.postponed AS q WHERE q.kind IN ('index', 'key');

-- name: v2_adds_a_space
-- Add a space as V2 does, for the rehearsal alone.
INSERT INTO public.spaces (name, code, building, sensor_eui, display_eui)
VALUES ('Rehearsal', left('rehearsal ' || md5(clock_timestamp()::text), 20), 'Rehearsal',
        left(md5(clock_timestamp()::text), 16), left(md5('d' || clock_timestamp()), 16));

-- name: v2_changes_spaces
-- Change some spaces as V2 does.
UPDATE public.spaces
SET name = left('x' || name, 100), zone = 'Rehearsal', state = CASE state WHEN 'FREE' THEN 'OCCUPIED' ELSE 'FREE' END
WHERE id IN (SELECT id FROM public.spaces ORDER BY id LIMIT 5);

-- name: v2_reserves
-- Add a reservation as V2 does, of a space of the rehearsal.
INSERT INTO public.reservations (space_id, start_time, end_time)
SELECT id, now(), now() + interval '1 hour' FROM public.spaces WHERE building = 'Rehearsal';

-- name: v2_notes_a_state
-- Add to the history as V2 does.
INSERT INTO public.state_changes (space_id, previous_state, new_state, source)
SELECT id, 'FREE', state, 'rehearsal' FROM public.spaces WHERE building = 'Rehearsal';

-- name: baylight_adds_a_space
-- Add a space as Baylight does.
INSERT INTO spaces (name, code) VALUES ('Rehearsal', left('ours ' || md5(clock_timestamp()::text), 20));

-- name: baylight_changes_spaces
-- Change some spaces as Baylight does, and delete its own.
UPDATE spaces
SET name = left('y' || name, 100), current_state = CASE current_state WHEN 'FREE' THEN 'OCCUPIED' ELSE 'FREE' END,
    deleted_at = CASE WHEN code LIKE 'ours %' THEN clock_timestamp() END
WHERE id IN (SELECT id FROM spaces ORDER BY code LIKE 'ours %' DESC, id LIMIT 5);

-- name: baylight_cancels
-- Cancel reservations as Baylight does.
UPDATE reservations SET status = 'cancelled' WHERE status = 'active';

-- name: baylight_notes_a_state
-- Add to the history as Baylight does.
INSERT INTO state_changes (space_id, previous_state, new_state, source)
SELECT id, 'FREE', current_state, 'manual' FROM spaces WHERE deleted_at IS NULL LIMIT 5;
