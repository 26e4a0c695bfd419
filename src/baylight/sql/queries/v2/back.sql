-- name: estimate_spaces
-- Estimated number of spaces.
SELECT greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE oid = 'public.spaces'::regclass;

-- name: next_spaces
-- Spaces behind the id `:after`.
SELECT id FROM public.spaces WHERE id > :after ORDER BY id LIMIT :limit;

-- name: reflect_spaces
-- Bring V2's rows of these spaces up to date.
SELECT v2_migration.reflect_spaces(:ids) AS written;

-- name: next_reservations
-- Reservations behind the id `:after`.
SELECT id FROM public.reservations WHERE id > :after ORDER BY id LIMIT :limit;

-- name: reflect_reservations
-- Bring V2's rows of these reservations up to date.
SELECT v2_migration.reflect_reservations(:ids) AS written;

-- name: state_changes_to_reflect
-- Range of the state changes that V2's table lacks. NULL if it lacks none.
SELECT min(c.id) AS first, max(c.id) AS last FROM public.state_changes AS c
WHERE NOT EXISTS (SELECT FROM v2_archive.state_changes AS l WHERE l.id = c.id);

-- name: reflect_state_changes
-- Add to V2's table the state changes of a range that it lacks.
SELECT v2_migration.reflect_state_changes(:first, :last) AS written;

-- name: revoke_keys
-- Revoke for V2 the keys that were revoked meanwhile.
UPDATE v2_archive.api_keys AS l SET is_active = false
FROM public.api_keys AS k WHERE k.id = l.id AND NOT k.is_active AND l.is_active;

-- name: own_tables
-- Baylight's tables in the public schema, partitions that came later included.
SELECT c.relname AS name FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (c.relname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'table')
       OR EXISTS (SELECT FROM pg_inherits AS i INNER JOIN pg_class AS p ON p.oid = i.inhparent
                  WHERE i.inhrelid = c.oid AND p.relname IN (SELECT name FROM v2_migration.own_objects)))
ORDER BY c.relname;

-- name: own_functions
-- Baylight's functions in the public schema.
SELECT DISTINCT name FROM v2_migration.own_objects WHERE kind = 'function' ORDER BY name;

-- name: drop_views
-- Statements that drop V2's names as views.
SELECT format('DROP VIEW %I.%I', n.nspname, c.relname) AS statement
FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'v' AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
  AND n.nspname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'view_schema')
ORDER BY 1;

-- name: drop_view_schemas
-- Statements that drop the schemas that the migration created for views, and that hold nothing else.
SELECT format('DROP SCHEMA %I', o.name) AS statement FROM v2_migration.own_objects AS o
INNER JOIN pg_namespace AS n ON n.nspname = o.name
WHERE o.kind = 'view_schema' AND NOT EXISTS (
    SELECT FROM pg_class AS c WHERE c.relnamespace = n.oid
      AND c.relname NOT IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
);
