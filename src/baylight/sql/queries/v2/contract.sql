-- name: spaces_without
-- Live spaces that have no device in this role, `sensor` or `display`.
SELECT s.id, s.code FROM baylight_next.spaces AS s
WHERE s.deleted_at IS NULL
  AND CASE :role::text WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END IS NULL
ORDER BY s.code LIMIT :limit;

-- name: remember_own
-- Note which names in the public schema will be Baylight's.
INSERT INTO v2_migration.own_objects (kind, name)
SELECT 'table', relname FROM pg_class WHERE relnamespace = 'baylight_next'::regnamespace AND relkind IN ('r', 'p', 'v')
UNION ALL
SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'baylight_next'::regnamespace
ON CONFLICT DO NOTHING;

-- name: remember_view_schema
-- Note that the migration creates the schema of V2's role, for views.
INSERT INTO v2_migration.own_objects VALUES ('view_schema', :role) ON CONFLICT DO NOTHING;

-- name: role_of_v2
-- Role that the V2 application logs in as: of the roles besides the owner that may read its spaces, the one that may also
-- write them and can log in. It is the owner only if there is no other.
SELECT coalesce(
    (SELECT r.rolname::text FROM aclexplode(c.relacl) AS a INNER JOIN pg_roles AS r ON r.oid = a.grantee
     WHERE a.grantee <> c.relowner AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE')
     GROUP BY r.rolname, r.rolcanlogin HAVING bool_or(a.privilege_type = 'SELECT')
     ORDER BY count(DISTINCT a.privilege_type) DESC, r.rolcanlogin DESC, r.rolname LIMIT 1),
    pg_get_userbyid(c.relowner)::text
) AS role
FROM pg_class AS c WHERE c.oid = 'public.spaces'::regclass;

-- name: tables
-- Tables of a schema, with its name.
SELECT format('%I.%I', :schema::text, relname) AS name FROM pg_class
WHERE relnamespace = :schema::text::regnamespace AND relkind IN ('r', 'p') ORDER BY relname;

-- name: drop_triggers
-- Statements that drop the migration's triggers on the tables `:names` of a schema. If `:names` is NULL, these are all
-- tables except `:but`. The triggers of partitions go with those of their parent.
SELECT format('DROP TRIGGER %I ON %I.%I', t.tgname, n.nspname, c.relname) AS statement
FROM pg_trigger AS t
INNER JOIN pg_class AS c ON c.oid = t.tgrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
WHERE p.pronamespace = 'v2_migration'::regnamespace AND t.tgparentid = 0 AND n.nspname = :schema::text
  AND (:names::text[] IS NULL OR c.relname = ANY(:names)) AND c.relname <> ALL(:but::text[])
ORDER BY c.relname, t.tgname;

-- name: move_tables
-- Statements that move tables and views to another schema, with all that belongs to them. `:names` and `:but` are those
-- of drop_triggers.
SELECT format('ALTER TABLE %I.%I SET SCHEMA %I', :before::text, relname, :after::text) AS statement FROM pg_class
WHERE relnamespace = :before::text::regnamespace AND relkind IN ('r', 'p', 'v')
  AND (:names::text[] IS NULL OR relname = ANY(:names)) AND relname <> ALL(:but::text[])
ORDER BY relname;

-- name: functions
-- Functions of a schema, all or those of these names, quoted where SQL needs it. Functions of extensions are left out.
SELECT quote_ident(p.proname) AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       pg_get_functiondef(p.oid) AS definition
FROM pg_proc AS p
WHERE p.pronamespace = :schema::text::regnamespace AND p.prokind = 'f'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
  AND (:names::text[] IS NULL OR p.proname = ANY(:names))
ORDER BY p.proname;

-- name: move_legacy_functions
-- Statements that move V2's own trigger functions, such as update_updated_at(). Functions of an extension, of another owner,
-- or that a table of the customer's uses too stay where they are: a trigger finds its function wherever it lies.
SELECT DISTINCT format('ALTER FUNCTION %I.%I(%s) SET SCHEMA %I', n.nspname, p.proname,
                       pg_get_function_identity_arguments(p.oid), :after::text) AS statement
FROM pg_trigger AS t
INNER JOIN pg_class AS c ON c.oid = t.tgrelid
INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = :before::text AND c.relnamespace = n.oid AND NOT t.tgisinternal
  AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
  AND pg_has_role(p.proowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')
  AND NOT EXISTS (
      SELECT FROM pg_trigger AS o INNER JOIN pg_class AS r ON r.oid = o.tgrelid
      WHERE o.tgfoid = p.oid AND NOT o.tgisinternal AND (r.relnamespace <> n.oid
          OR r.relname NOT IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')))
ORDER BY statement;

-- name: columns_of_v2
-- Columns of V2's tables in their order, with the type that a view must have.
SELECT c.relname AS "table", a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute AS a INNER JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[]) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum;
