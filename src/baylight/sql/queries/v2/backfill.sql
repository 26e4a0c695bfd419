-- name: forget_contested
-- Forget what an earlier try noted. It is noted again.
DELETE FROM v2_migration.contested;

-- name: contested_sensors
-- Note sensors that several live spaces ask for. `:rule`: oldest, newest or none.
INSERT INTO v2_migration.contested (role, eui, winner, reason)
SELECT 'sensor', lower(sensor_eui),
       CASE :rule::text WHEN 'oldest' THEN (array_agg(id ORDER BY created_at, id))[1]
                     WHEN 'newest' THEN (array_agg(id ORDER BY created_at DESC, id DESC))[1] END,
       'contested_sensor'
FROM public.spaces
WHERE deleted_at IS NULL AND v2_migration.canon_eui(sensor_eui) IS NOT NULL
GROUP BY lower(sensor_eui) HAVING count(*) > 1;

-- name: contested_roles
-- Note EUIs that are a sensor here and a display there. `:rule`: both, sensor or display.
INSERT INTO v2_migration.contested (role, eui, reason)
SELECT CASE :rule::text WHEN 'sensor' THEN 'display' ELSE 'sensor' END, eui, 'other_role'
FROM (
    SELECT lower(sensor_eui) AS eui FROM public.spaces
    WHERE deleted_at IS NULL AND v2_migration.canon_eui(sensor_eui) IS NOT NULL
    INTERSECT
    SELECT lower(display_eui) FROM public.spaces
    WHERE deleted_at IS NULL AND v2_migration.canon_eui(display_eui) IS NOT NULL
) AS both_roles
WHERE :rule::text <> 'both'
ON CONFLICT (role, eui) DO UPDATE SET winner = NULL, reason = excluded.reason;

-- name: contested_displays
-- Note displays of several live spaces. `:rule`: shared or none.
INSERT INTO v2_migration.contested (role, eui, shared, reason)
SELECT 'display', lower(display_eui), :rule::text = 'shared', 'shared_display'
FROM public.spaces
WHERE deleted_at IS NULL AND v2_migration.canon_eui(display_eui) IS NOT NULL
GROUP BY lower(display_eui) HAVING count(*) > 1
ON CONFLICT (role, eui) DO NOTHING;

-- name: carry_losers
-- Carry again the spaces that V2 wrote before the contest, if they have a device that another space gets. The transaction
-- must see the winners.
SELECT v2_migration.follow_each('spaces', array_agg(s.id::text)) AS carried
FROM baylight_next.spaces AS s
INNER JOIN v2_migration.contested AS c
    ON c.eui = CASE c.role WHEN 'sensor' THEN s.sensor_deveui ELSE s.display_deveui END
WHERE s.deleted_at IS NULL AND NOT c.shared AND c.winner IS DISTINCT FROM s.id
HAVING count(*) > 0;

-- name: carry_pages
-- Carry the spaces of a range of pages, and note the place. `:first`: tid of the first row. `:after`: tid behind the
-- last row.
WITH c AS MATERIALIZED (
    SELECT v2_migration.carry_new_spaces((
        SELECT array_agg(id) FROM public.spaces WHERE ctid >= :first::text::tid AND ctid < :after::text::tid
    ))::bigint AS carried
)
UPDATE v2_migration.steps AS s SET place = :place, rows = s.rows + c.carried
FROM c WHERE s.name = :step RETURNING c.carried;

-- name: spaces_of_pages
-- Ids of the rows in a range of pages, as in carry_pages; NULL if there are none.
SELECT array_agg(id) AS ids FROM public.spaces WHERE ctid >= :first::text::tid AND ctid < :after::text::tid;

-- name: carry_spaces
-- Carry these spaces.
WITH c AS MATERIALIZED (SELECT v2_migration.carry_new_spaces(:ids)::bigint AS carried)
UPDATE v2_migration.steps AS s SET rows = s.rows + c.carried
FROM c WHERE s.name = :step RETURNING c.carried;

-- name: follow_each
-- Carry these rows of one table of V2 one by one. A row that the new schema refuses is quarantined.
WITH c AS MATERIALIZED (SELECT v2_migration.follow_each(:table, :ids::text[])::bigint AS carried)
UPDATE v2_migration.steps AS s SET rows = s.rows + c.carried
FROM c WHERE s.name = :step RETURNING c.carried;

-- name: spaces_left
-- Spaces that are neither carried over nor quarantined as a whole.
SELECT l.id FROM public.spaces AS l
WHERE NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND q.field = '*'
  )
LIMIT :limit;

-- name: carry_reservations
-- Carry these reservations. The step stores no position, because it selects the rows that are left.
WITH c AS MATERIALIZED (SELECT v2_migration.carry_new_reservations(:ids)::bigint AS carried)
UPDATE v2_migration.steps AS s SET rows = s.rows + c.carried
FROM c WHERE s.name = :step RETURNING c.carried;

-- name: active_reservations_left
-- Active reservations that are neither carried over nor quarantined, the earliest created first.
SELECT l.id FROM public.reservations AS l
WHERE l.status = 'active'
  AND EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.space_id)
  AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'reservations' AND q.source_id = l.id::text
  )
ORDER BY l.created_at, l.id
LIMIT :limit;

-- name: reservations_left
-- Reservations of any status that are neither carried over nor quarantined, in no order.
SELECT l.id FROM public.reservations AS l
WHERE EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.space_id)
  AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'reservations' AND q.source_id = l.id::text
  )
LIMIT :limit;

-- name: next_state_changes
-- The last of the next rows of V2's history behind the id `:after`, by their ids; NULL if there are none. Ids from 2^62 on
-- are left to `state_changes_left`.
SELECT max(n.id) AS last FROM (
    SELECT id FROM public.state_changes WHERE id > :after AND id < 4611686018427387904 ORDER BY id LIMIT :limit
) AS n;

-- name: carry_state_changes
-- Carry a range of state changes, and note the place.
WITH c AS MATERIALIZED (SELECT v2_migration.carry_state_changes(:first, :last)::bigint AS carried)
UPDATE v2_migration.steps AS s SET place = :place, rows = s.rows + c.carried
FROM c WHERE s.name = :step RETURNING c.carried;

-- name: state_changes_between
-- Ids of a range of V2's history.
SELECT id::text FROM public.state_changes WHERE id BETWEEN :first AND :last ORDER BY id;

-- name: state_changes_left
-- State changes that are neither carried over nor quarantined: their id was given before the walk passed it and committed
-- after, or Baylight cannot read their time.
SELECT l.id::text FROM public.state_changes AS l
INNER JOIN baylight_next.spaces AS s ON s.id = l.space_id
WHERE NOT EXISTS (SELECT FROM baylight_next.state_changes AS c WHERE c.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'state_changes' AND q.source_id = l.id::text
  )
ORDER BY l.id
LIMIT :limit;

-- name: api_keys_left
-- Ids of V2's API keys that are neither carried over nor quarantined.
SELECT l.id FROM public.api_keys AS l
WHERE NOT EXISTS (SELECT FROM baylight_next.api_keys AS k WHERE k.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'api_keys' AND q.source_id = l.id::text
  );

-- name: estimate_spaces
-- Estimated number of rows of V2's table. The rows are counted if PostgreSQL has no estimate yet.
SELECT CASE WHEN reltuples > 0 THEN reltuples::bigint ELSE (SELECT count(*) FROM public.spaces) END AS rows
FROM pg_class WHERE oid = 'public.spaces'::regclass;

-- name: estimate_reservations
-- Estimated number of rows of V2's table. The rows are counted if PostgreSQL has no estimate yet.
SELECT CASE WHEN reltuples > 0 THEN reltuples::bigint ELSE (SELECT count(*) FROM public.reservations) END AS rows
FROM pg_class WHERE oid = 'public.reservations'::regclass;

-- name: estimate_state_changes
-- Estimated number of rows of V2's table. It is 1 if PostgreSQL has no estimate yet.
SELECT greatest(reltuples, 1)::bigint AS rows FROM pg_class WHERE oid = 'public.state_changes'::regclass;

-- name: pages_of_spaces
-- Number of pages of V2's table.
SELECT pg_relation_size('public.spaces') / 8192 AS pages;

-- name: spaces_carried
-- Number of spaces that both walks have carried.
SELECT coalesce(sum(rows), 0)::bigint AS rows FROM v2_migration.steps WHERE name ~ '^spaces';

-- name: analyze_spaces
-- Analyze the tables, so that plans for small tables are not kept for large ones. A table that another session holds is
-- skipped.
ANALYZE (SKIP_LOCKED) baylight_next.spaces, baylight_next.sensor_devices, baylight_next.display_devices,
    baylight_next.locations;

-- name: analyze_reservations
-- Analyze the tables, as analyze_spaces does.
ANALYZE (SKIP_LOCKED) baylight_next.reservations;

-- name: analyze_state_changes
-- Analyze the table, as analyze_spaces does.
ANALYZE (SKIP_LOCKED) baylight_next.state_changes;
