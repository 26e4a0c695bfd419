-- name: set_aside
-- Set aside the codes and sensors of deleted spaces that another space has now.
SELECT code, detail FROM v2_migration.set_aside();

-- name: make_room
-- Release the codes and sensors that another space must get.
SELECT v2_migration.make_room();

-- name: spaces_to_reflect
-- Spaces whose rows in V2 differ from Baylight's, or are missing, by code. The state counts if Baylight decides.
SELECT o.id, 'space ' || o.code AS name FROM v2_migration.old_spaces AS o
LEFT JOIN v2_archive.spaces AS l ON l.id = o.id
WHERE (l.name, l.code, l.building, l.floor, l.zone, l.gps_latitude, l.gps_longitude, l.sensor_eui, l.display_eui,
       l.metadata, l.deleted_at)
    IS DISTINCT FROM (o.name, o.code, o.building, o.floor, o.zone, o.gps_latitude, o.gps_longitude, o.sensor_eui,
       o.display_eui, o.metadata, o.deleted_at)
    OR l.id IS NULL OR (l.state <> o.state AND (SELECT owner = 'baylight' FROM v2_migration.control))
ORDER BY o.code;

-- name: reflect_spaces
-- Bring V2's rows of these spaces up to date.
SELECT v2_migration.reflect_spaces(:ids) AS written;

-- name: too_long
-- What is longer in Baylight than V2's table can hold, for a space.
SELECT string_agg(format('its %s has %s characters, and V2 holds %s', t.name, length(t.value), t.most), '; ') AS detail
FROM v2_migration.old_spaces AS o
CROSS JOIN LATERAL (
    SELECT v.name, v.value, a.atttypmod - 4 AS most
    FROM (VALUES ('name', o.name::text), ('code', o.code::text), ('building', o.building), ('floor', o.floor),
                 ('zone', o.zone)) AS v (name, value)
    INNER JOIN pg_attribute AS a ON a.attrelid = 'v2_archive.spaces'::regclass AND a.attname = v.name
    WHERE a.atttypmod > 4 AND length(v.value) > a.atttypmod - 4
) AS t
WHERE o.id = :id;

-- name: reservations_to_reflect
-- Reservations whose rows in V2 differ from Baylight's, or are missing.
SELECT r.id, format('reservation %s of space %s', r.id, s.code) AS name FROM public.reservations AS r
INNER JOIN public.spaces AS s ON s.id = r.space_id
LEFT JOIN v2_archive.reservations AS l ON l.id = r.id
WHERE (l.space_id, l.start_time, l.end_time, l.user_email, l.user_phone, l.status, l.metadata)
    IS DISTINCT FROM (r.space_id, r.start_time, r.end_time, r.user_email, r.user_phone, r.status, r.metadata)
ORDER BY r.created_at, r.id;

-- name: reflect_reservations
-- Bring V2's rows of these reservations up to date.
SELECT v2_migration.reflect_reservations(:ids) AS written;

-- name: state_changes_to_reflect
-- Range of the state changes of Baylight that V2's table lacks; NULL if it lacks none. V2 may have deleted its own.
SELECT min(c.id) AS first, max(c.id) AS last FROM public.state_changes AS c
WHERE c.id >= (SELECT first_own_change FROM v2_migration.control)
  AND NOT EXISTS (SELECT FROM v2_archive.state_changes AS l WHERE l.id = c.id);

-- name: reflect_state_changes
-- Add to V2's table the state changes of a range that it lacks.
SELECT v2_migration.reflect_state_changes(:first, :last) AS written;

-- name: revoke_keys
-- Revoke for V2 the keys that were revoked meanwhile.
UPDATE v2_archive.api_keys AS l SET is_active = false
FROM public.api_keys AS k WHERE k.id = l.id AND NOT k.is_active AND l.is_active;

-- name: own_tables
-- Baylight's tables and views in the public schema, partitions that came later included. A table that inherits is no partition: it
-- is the customer's.
SELECT c.relname AS name FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND (c.relname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'table')
       OR (c.relispartition AND EXISTS (
           SELECT FROM pg_inherits AS i INNER JOIN pg_class AS p ON p.oid = i.inhparent
           WHERE i.inhrelid = c.oid AND p.relnamespace = c.relnamespace
             AND p.relname IN (SELECT name FROM v2_migration.own_objects WHERE kind = 'table'))))
ORDER BY c.relname;

-- name: users_of_own
-- What other people built on Baylight's tables, wherever these lie: views, foreign keys, and tables that inherit.
WITH own AS (
    SELECT c.oid, c.relnamespace FROM pg_class AS c
    WHERE c.relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('baylight_next', 'v2_migration'))
       OR (c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:names::text[]))
), found AS (
    SELECT format('the view %s reads %s', r.ev_class::regclass, d.refobjid::regclass) AS name, r.ev_class AS id
    FROM pg_depend AS d INNER JOIN pg_rewrite AS r ON r.oid = d.objid INNER JOIN own ON own.oid = d.refobjid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    UNION
    SELECT format('the foreign key %s of %s refers to %s', k.conname, k.conrelid::regclass, k.confrelid::regclass),
           k.conrelid
    FROM pg_constraint AS k INNER JOIN own ON own.oid = k.confrelid WHERE k.contype = 'f'
    UNION
    SELECT format('the table %s inherits from %s', i.inhrelid::regclass, i.inhparent::regclass), i.inhrelid
    FROM pg_inherits AS i INNER JOIN own ON own.oid = i.inhparent
    INNER JOIN pg_class AS c ON c.oid = i.inhrelid WHERE NOT c.relispartition
)
SELECT DISTINCT f.name FROM found AS f INNER JOIN pg_class AS c ON c.oid = f.id
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE f.id NOT IN (SELECT oid FROM own)
  AND NOT (n.nspname IN (SELECT o.name FROM v2_migration.own_objects AS o WHERE o.kind = 'view_schema')
           AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys'))
ORDER BY f.name LIMIT 20;

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
