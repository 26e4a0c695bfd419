-- name: next_spaces
-- $1 id after which, $2 how many.
SELECT id FROM public.spaces WHERE id > $1 ORDER BY id LIMIT $2;

-- name: next_reservations
-- $1 id after which, $2 how many.
SELECT id FROM public.reservations WHERE id > $1 ORDER BY id LIMIT $2;

-- name: state_changes_to_reflect
-- The range of those that V2's table does not have.
SELECT min(c.id), max(c.id) FROM public.state_changes AS c
WHERE NOT EXISTS (SELECT FROM v2_archive.state_changes AS l WHERE l.id = c.id);

-- name: revoked_keys
-- A key that was revoked meanwhile is revoked for V2 too.
UPDATE v2_archive.api_keys AS l SET is_active = false
FROM public.api_keys AS k WHERE k.id = l.id AND NOT k.is_active AND l.is_active;

-- name: remember_own
-- Which names in the public schema are Baylight's.
INSERT INTO v2_migration.own_objects (kind, name)
SELECT 'table', relname FROM pg_class WHERE relnamespace = 'baylight_next'::regnamespace AND relkind IN ('r', 'p', 'v')
UNION ALL
SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'baylight_next'::regnamespace
ON CONFLICT DO NOTHING;

-- name: own_tables
-- Baylight's tables in the public schema, partitions that came later included.
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (c.relname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'table')
       OR EXISTS (SELECT FROM pg_inherits AS i INNER JOIN pg_class AS p ON p.oid = i.inhparent
                  WHERE i.inhrelid = c.oid AND p.relname IN (SELECT name FROM v2_migration.own_objects)))
ORDER BY c.relname;

-- name: own_functions
-- Baylight's functions in the public schema.
SELECT DISTINCT name AS proname FROM v2_migration.own_objects WHERE kind = 'function' ORDER BY name;

-- name: legacy_views
-- V2's names as views.
SELECT format('%I.%I', n.nspname, c.relname) AS name
FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
  AND n.nspname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'view_schema')
ORDER BY 1;

-- name: view_schemas
-- Schemas that the migration made for views, and that hold nothing else.
SELECT quote_ident(o.name) AS schema FROM v2_migration.own_objects AS o
INNER JOIN pg_namespace AS n ON n.nspname = o.name
WHERE o.kind = 'view_schema' AND NOT EXISTS (
    SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid
      AND c.relname NOT IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
);
