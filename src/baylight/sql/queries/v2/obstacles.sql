-- What the catalogue shows: things of the customer's that the migration meets, and rights that it needs. Each query lists
-- at most 20 things, those first that stand in the way (`blocks`), and counts all of them.

-- name: customer_trigger
-- Triggers and rules on V2's tables `:tables` that are neither V2's nor the migration's, and event triggers.
SELECT f.id, f.detail, count(*) OVER () AS total, f.blocks FROM (
    SELECT t.tgname || ' on ' || c.relname AS id,
           CASE
           WHEN s.history THEN 'writes state_changes: after the switch it would add what Baylight adds too. Let its function '
               'return at once if current_setting(''baylight.v2_sync'', true) = ''on'''
           WHEN s.bare AND t.tgdeferrable THEN 'runs at COMMIT and names tables without their schema, but Baylight commits '
               'with another search_path: ALTER FUNCTION ' || s.signature || ' SET search_path = public'
           WHEN s.legacy THEN 'reads or writes V2''s tables by name. After the contract stage these names are Baylight''s, '
               'so the trigger may fail on the way back: ALTER TABLE v2_archive.' || c.relname || ' DISABLE TRIGGER '
               || quote_ident(t.tgname) || ' before that'
           WHEN s.bare THEN 'names tables without their schema; safer: ALTER FUNCTION ' || s.signature
               || ' SET search_path = public'
           WHEN e.extname IS NOT NULL THEN 'its function belongs to the extension ' || e.extname || ' and stays in its schema'
           ELSE 'also runs when Baylight writes V2''s rows, and goes to the archive with its table at the contract stage'
           END AS detail, s.history OR (s.bare AND t.tgdeferrable) AS blocks
    FROM pg_trigger AS t
    INNER JOIN pg_class AS c ON c.oid = t.tgrelid
    INNER JOIN pg_proc AS p ON p.oid = t.tgfoid
    LEFT JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    LEFT JOIN pg_extension AS e ON e.oid = d.refobjid
    CROSS JOIN LATERAL (
        SELECT p.oid::regprocedure::text AS signature,
               c.relname <> 'state_changes' AND p.prosrc ~* '\minto\s+(public\s*\.\s*)?"?state_changes\M'
               AND strpos(p.prosrc, 'baylight.v2_sync') = 0 AS history,
               p.prosrc ~* ('\m(from|join|into|update)\s+(only\s+)?(public\s*\.\s*)?"?('
                            || array_to_string(:tables::text[], '|') || ')\M') AS legacy,
               NOT EXISTS (SELECT FROM unnest(p.proconfig) AS g WHERE starts_with(g, 'search_path=')) AND EXISTS (
                   SELECT FROM pg_class AS r
                   WHERE r.relnamespace = 'public'::regnamespace AND r.relkind IN ('r', 'p', 'v', 'm')
                     AND strpos(lower(p.prosrc), r.relname) > 0
                     AND p.prosrc ~* ('\m(from|join|into|update)\s+(only\s+)?"?'
                                      || regexp_replace(r.relname, '(\W)', '\\\1', 'g') || '\M')
               ) AS bare
    ) AS s
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[]) AND NOT t.tgisinternal
      AND NOT (p.proname = 'update_updated_at' AND t.tgname = 'update_' || c.relname || '_updated_at')
      AND NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.oid = p.pronamespace AND n.nspname = 'v2_migration')
    UNION ALL
    SELECT r.rulename || ' on ' || c.relname, 'a rule changes Baylight''s writes to V2''s rows, and some of them cannot be '
        'run with it: make a trigger of it, or DROP RULE', true
    FROM pg_rewrite AS r INNER JOIN pg_class AS c ON c.oid = r.ev_class
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables) AND r.rulename <> '_RETURN'
    UNION ALL
    SELECT e.evtname || ' (event trigger)', 'runs at each statement of the migration that creates, changes or drops things; '
        'in the rehearsal too, where its effects are rolled back', false
    FROM pg_event_trigger AS e
    WHERE e.evtenabled <> 'D' AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = e.oid AND d.deptype = 'e')
) AS f
ORDER BY f.blocks DESC, f.id LIMIT 20;

-- name: customer_object
-- Views, functions and foreign keys of the customer's that depend on V2's tables `:tables`.
SELECT f.id, f.detail, count(*) OVER () AS total, false AS blocks FROM (
    SELECT k.conrelid::regclass::text AS id, 'its foreign key ' || k.conname || ' goes to the archive with V2''s table, which '
        'does not get the spaces that Baylight adds after the contract stage: drop the key before' AS detail
    FROM pg_constraint AS k INNER JOIN pg_class AS c ON c.oid = k.confrelid
    WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[])
      AND NOT EXISTS (SELECT FROM pg_class AS o WHERE o.oid = k.conrelid
                      AND o.relnamespace = 'public'::regnamespace AND o.relname = ANY(:tables))
    UNION ALL
    SELECT DISTINCT r.ev_class::regclass::text,
        'the view goes on reading V2''s table, in the archive, where it stands still after the contract stage'
    FROM pg_depend AS d INNER JOIN pg_rewrite AS r ON r.oid = d.objid
    INNER JOIN pg_class AS c ON c.oid = d.refobjid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> d.refobjid
      AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)
    UNION ALL
    SELECT DISTINCT p.oid::regprocedure::text,
        'the function goes on reading V2''s table, in the archive, where it stands still after the contract stage'
    FROM pg_depend AS d INNER JOIN pg_proc AS p ON p.oid = d.objid
    INNER JOIN pg_class AS c ON c.oid = d.refobjid
    WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
      AND c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)
) AS f
WHERE NOT starts_with(f.id, 'baylight_next.') AND NOT starts_with(f.id, 'v2_migration.')
ORDER BY f.id LIMIT 20;

-- name: row_security
-- Tables of V2 with row-level security. `:views`: V2's names are to stay as views, which know no policies.
SELECT f.id, f.detail, count(*) OVER () AS total, f.blocks FROM (
    SELECT c.relname::text AS id, CASE WHEN v.hides
               THEN 'hides rows from this account, and they would be lost: ALTER TABLE public.' || c.relname
                   || ' NO FORCE ROW LEVEL SECURITY, or give the account BYPASSRLS'
               WHEN :views::boolean
               THEN 'V2''s role would see all rows through the views after the contract stage: choose legacy_names = "gone", '
                   'or ALTER TABLE public.' || c.relname || ' DISABLE ROW LEVEL SECURITY'
               ELSE 'its policies go to the archive with it' END AS detail, v.hides OR :views AS blocks
    FROM pg_class AS c
    INNER JOIN pg_roles AS me ON me.rolname = current_user
    CROSS JOIN LATERAL (
        SELECT NOT me.rolsuper AND NOT me.rolbypassrls
               AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE')) AS hides
    ) AS v
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[]) AND c.relrowsecurity
) AS f
ORDER BY f.blocks DESC, f.id LIMIT 20;

-- name: inherits
-- Tables that inherit from V2's tables `:tables`, and tables of V2's that inherit.
SELECT i.inhrelid::regclass::text AS id,
       'inherits from ' || i.inhparent::regclass || ': its rows are read as rows of V2''s, but the migration can neither follow '
       'nor keep them: ALTER TABLE ' || i.inhrelid::regclass || ' NO INHERIT ' || i.inhparent::regclass AS detail,
       count(*) OVER () AS total, true AS blocks
FROM pg_inherits AS i
INNER JOIN pg_class AS c ON c.oid IN (i.inhrelid, i.inhparent)
INNER JOIN pg_class AS p ON p.oid = i.inhparent AND p.relkind = 'r'
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[])
ORDER BY 1 LIMIT 20;

-- name: partitioned
-- Tables of V2's `:tables` that are partitioned, or that are no ordinary tables.
SELECT c.relname::text AS id, CASE c.relkind
           WHEN 'p' THEN 'is partitioned: triggers, keys and the move to the archive are made for V2''s plain table'
           WHEN 'f' THEN 'is a foreign table: its rows lie in another database. Run the migration there'
           ELSE 'is a view: Baylight cannot write V2''s rows through it. Name the table itself ' || c.relname END AS detail,
       count(*) OVER () AS total, true AS blocks
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[]) AND c.relkind IN ('p', 'f', 'v', 'm')
ORDER BY 1 LIMIT 20;

-- name: publication
-- Publications that have V2's tables `:tables`, or that would get Baylight's.
SELECT f.id, f.detail, count(*) OVER () AS total, f.blocks FROM (
    SELECT p.pubname::text AS id, 'is FOR ALL TABLES, so Baylight''s tables too would be published, which subscribers do not '
        'have. Create it again with V2''s tables by name: DROP PUBLICATION ' || quote_ident(p.pubname)
        || '; CREATE PUBLICATION ' || quote_ident(p.pubname) || ' FOR TABLE ' || array_to_string(:tables::text[], ', ') AS detail,
        true AS blocks
    FROM pg_publication AS p WHERE p.puballtables
    UNION ALL
    SELECT p.pubname::text, 'is FOR TABLES IN SCHEMA public, so Baylight''s tables too would be published at the contract '
        'stage. Name V2''s tables in it: ALTER PUBLICATION ' || quote_ident(p.pubname) || ' SET TABLE '
        || array_to_string(:tables, ', '), true
    FROM pg_publication AS p
    INNER JOIN pg_publication_namespace AS n ON n.pnpubid = p.oid AND n.pnnspid = 'public'::regnamespace
    UNION ALL
    SELECT p.pubname::text, 'publishes ' || string_agg(c.relname, ', ' ORDER BY c.relname)
        || ', which subscribers look for in v2_archive after the contract stage: stop their subscriptions before', false
    FROM pg_publication AS p
    INNER JOIN pg_publication_rel AS r ON r.prpubid = p.oid
    INNER JOIN pg_class AS c ON c.oid = r.prrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables)
    GROUP BY p.pubname
) AS f
ORDER BY f.blocks DESC, f.id LIMIT 20;

-- name: extra_column
-- Columns of V2's tables that V2 itself does not have. `:tables`, `:columns`: the columns of V2.
SELECT c.relname || '.' || a.attname AS id, CASE
           WHEN v.blocks THEN 'must have a value, and Baylight has none for new rows: ALTER TABLE public.' || c.relname
               || ' ALTER COLUMN ' || quote_ident(a.attname) || ' SET DEFAULT …, or DROP NOT NULL'
           WHEN a.attgenerated <> '' THEN 'is generated: it goes to the archive with its table'
           ELSE format_type(a.atttypid, a.atttypmod) || ': it stays in V2''s table, and goes to the archive with it' END AS detail,
       count(*) OVER () AS total, v.blocks
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
LEFT JOIN unnest(:tables::text[], :columns::text[]) AS k (relname, attname)
    ON k.relname = c.relname AND k.attname = a.attname
CROSS JOIN LATERAL (
    SELECT a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
           AND c.relname IN ('spaces', 'reservations', 'state_changes') AS blocks
) AS v
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables) AND a.attnum > 0 AND NOT a.attisdropped
  AND k.attname IS NULL
ORDER BY v.blocks DESC, 1 LIMIT 20;

-- name: other_type
-- Columns of V2's `:columns` that have another type than in `:types`, and checks that are not V2's own.
SELECT f.id, f.detail, count(*) OVER () AS total, f.blocks FROM (
    SELECT k.relname || '.' || k.attname AS id, CASE WHEN v.blocks
               THEN 'is ' || v.type || ', and Baylight needs ' || k.type || ': ALTER TABLE public.' || k.relname
                   || ' ALTER COLUMN ' || quote_ident(k.attname) || ' TYPE ' || k.type
               ELSE 'is ' || v.type || ', not ' || k.type || ': values of V2 that Baylight cannot hold go to the quarantine, and '
                   'Baylight cannot store what this column cannot hold' END AS detail,
           v.blocks
    FROM unnest(:tables::text[], :columns::text[], :types::text[]) AS k (relname, attname, type)
    INNER JOIN pg_class AS c ON c.relname = k.relname AND c.relnamespace = 'public'::regnamespace
    INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = k.attname AND NOT a.attisdropped
    CROSS JOIN LATERAL (
        SELECT format_type(a.atttypid, a.atttypmod) AS type, NOT CASE
                   WHEN k.type LIKE 'character varying%' THEN a.atttypid IN ('varchar'::regtype, 'text'::regtype, 'bpchar'::regtype)
                   WHEN k.type LIKE 'numeric%' OR k.type = 'integer' OR (k.type = 'bigint' AND k.relname = 'sensor_readings')
                       THEN a.atttypid IN ('numeric'::regtype, 'smallint'::regtype, 'integer'::regtype, 'bigint'::regtype,
                                           'real'::regtype, 'double precision'::regtype)
                   ELSE a.atttypid = k.type::regtype END AS blocks
    ) AS v
    WHERE v.type <> k.type
    UNION ALL
    SELECT c.relname || '.id', 'is not unique: ALTER TABLE public.' || c.relname || ' ADD PRIMARY KEY (id)', true
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables) AND c.relkind = 'r' AND NOT EXISTS (
        SELECT FROM pg_index AS i INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
          AND a.attname = 'id')
    UNION ALL
    SELECT c.relname || '.' || w.conname, CASE WHEN k.oid IS NULL THEN 'this check of V2''s is missing'
               ELSE 'this check lets in other words than V2''s own' END
           || ': values that Baylight does not know go to the quarantine', false
    FROM (
        VALUES ('spaces', 'valid_state', '{FREE,MAINTENANCE,OCCUPIED,RESERVED}'::text[]), ('spaces', 'valid_gps', NULL),
               ('reservations', 'valid_status', '{active,cancelled,completed,no_show}'), ('reservations', 'valid_times', NULL),
               ('reservations', 'valid_duration', NULL)
    ) AS w (relname, conname, words)
    INNER JOIN pg_class AS c ON c.relname = w.relname AND c.relnamespace = 'public'::regnamespace
    LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.conname = w.conname AND k.contype = 'c'
    WHERE k.oid IS NULL OR w.words <> ARRAY(
        SELECT m[1] FROM regexp_matches(pg_get_constraintdef(k.oid), '''(\w+)''::', 'g') AS m ORDER BY m[1] COLLATE "C")
    UNION ALL
    SELECT c.relname || '.' || k.conname, 'this check is not V2''s: ' || pg_get_constraintdef(k.oid)
           || '. Baylight cannot store a value that it forbids', false
    FROM pg_constraint AS k INNER JOIN pg_class AS c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables) AND k.contype = 'c'
      AND k.conname NOT IN ('valid_state', 'valid_gps', 'valid_status', 'valid_times', 'valid_duration')
) AS f
ORDER BY f.blocks DESC, f.id LIMIT 20;

-- name: extension
-- The extension btree_gist, if it can be neither used nor created.
SELECT 'btree_gist' AS id, CASE WHEN a.name IS NULL
           THEN 'is not installed on this server: install PostgreSQL''s package "contrib"'
           ELSE 'is not there, and this account cannot create it: let a superuser run CREATE EXTENSION btree_gist' END AS detail,
       count(*) OVER () AS total, true AS blocks
FROM (SELECT) AS one
LEFT JOIN pg_available_extensions AS a ON a.name = 'btree_gist'
WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist')
  AND (a.name IS NULL OR NOT EXISTS (
      SELECT FROM pg_available_extension_versions AS v INNER JOIN pg_roles AS me ON me.rolname = current_user
      WHERE v.name = a.name AND (me.rolsuper OR (v.trusted AND has_database_privilege(current_database(), 'CREATE')))));

-- name: search_path
-- Settings by which V2's role `:role` would not find its names after the contract stage, if these are to stay (`:views`).
SELECT coalesce(r.rolname, 'database ' || current_database()) AS id,
       g.setting || ': V2 would not find its views in the schema ' || :role::text || '. ALTER '
       || coalesce('ROLE ' || quote_ident(r.rolname), 'DATABASE ' || quote_ident(current_database()))
       || ' RESET search_path, or choose legacy_names = "gone"' AS detail, count(*) OVER () AS total, true AS blocks
FROM pg_db_role_setting AS s
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
CROSS JOIN LATERAL unnest(s.setconfig) AS g (setting)
WHERE :views::boolean AND g.setting LIKE 'search_path=%' AND g.setting !~ ('^search_path=\s*("\$user"|' || :role || ')')
  AND coalesce(r.rolname = :role, true) AND coalesce(d.datname = current_database(), true)
LIMIT 20;

-- name: privilege
-- Rights that this account lacks. `:role`: the role for which V2's names are to stay as views; NULL if there are none.
SELECT f.id, f.detail, count(*) OVER () AS total, true AS blocks FROM (
    SELECT 'database ' || current_database() AS id, 'this account may not create schemas: GRANT CREATE ON DATABASE '
        || quote_ident(current_database()) || ' TO ' || quote_ident(current_user) AS detail
    WHERE NOT has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT 'schema public', 'this account may not create in it: GRANT CREATE ON SCHEMA public TO ' || quote_ident(current_user)
    WHERE NOT has_schema_privilege('public', 'CREATE')
    UNION ALL
    SELECT 'table ' || c.relname, 'this account is not its owner: run the migration as ' || pg_get_userbyid(c.relowner)
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[]) AND NOT pg_has_role(c.relowner, 'USAGE')
    UNION ALL
    SELECT 'role ' || :role::text, 'there is no such role: correct [contract] legacy_role'
    WHERE :role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)
) AS f
ORDER BY f.id LIMIT 20;

-- name: name_taken
-- Things that have a name which one of Baylight's will need in the schema public (`:kinds`, `:names`, `:arguments`), or
-- which the schema of V2's role `:role` needs. What goes to the archive with V2's tables `:tables` does not count.
SELECT f.id, f.detail, count(*) OVER () AS total, true AS blocks FROM (
    SELECT n.kind || ' ' || n.name AS id, 'Baylight needs this name. Set the thing aside, with what belongs to it: '
           || CASE WHEN c.relkind IN ('r', 'p') THEN 'CREATE SCHEMA IF NOT EXISTS v2_aside; ALTER TABLE '
               || format('public.%I SET SCHEMA v2_aside', c.relname)
           ELSE 'ALTER ' || CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                   WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'INDEX' END
               || format(' public.%I RENAME TO %I', c.relname, 'v2_' || c.relname) END AS detail
    FROM unnest(:kinds::text[], :names::text[], :arguments::text[]) AS n (kind, name, arguments)
    INNER JOIN pg_class AS c ON c.relname = n.name AND c.relnamespace = 'public'::regnamespace AND c.relkind <> 'c'
    WHERE n.kind IN ('table', 'index', 'sequence') AND c.relname <> ALL(:tables::text[])
      AND NOT EXISTS (  -- it goes with its table, which goes to the archive or is named here
          SELECT FROM pg_class AS t
          WHERE t.relnamespace = c.relnamespace AND (t.relname = ANY(:tables) OR t.relname = ANY(:names))
            AND (EXISTS (SELECT FROM pg_index AS i WHERE i.indexrelid = c.oid AND i.indrelid = t.oid)
                 OR EXISTS (SELECT FROM pg_depend AS d
                            WHERE d.objid = c.oid AND d.refobjid = t.oid AND d.deptype IN ('a', 'i'))))
    UNION ALL
    SELECT 'type ' || t.typname, 'Baylight needs this name: ALTER TYPE ' || format('public.%I RENAME TO %I', t.typname, 'v2_' || t.typname)
    FROM pg_type AS t
    WHERE t.typnamespace = 'public'::regnamespace AND t.typname = ANY(:names) AND t.typcategory <> 'A'
      AND (t.typrelid = 0 OR (SELECT c.relkind = 'c' FROM pg_class AS c WHERE c.oid = t.typrelid))
      AND EXISTS (SELECT FROM unnest(:kinds, :names) AS n (kind, name) WHERE n.kind IN ('type', 'table') AND n.name = t.typname)
    UNION ALL
    SELECT 'function ' || p.oid::regprocedure, 'Baylight needs this name: ALTER FUNCTION ' || p.oid::regprocedure
           || format(' RENAME TO %I', 'v2_' || p.proname)
    FROM unnest(:kinds, :names, :arguments) AS n (kind, name, arguments)
    INNER JOIN pg_proc AS p ON p.proname = n.name AND p.pronamespace = 'public'::regnamespace
        AND pg_get_function_identity_arguments(p.oid) = n.arguments
    WHERE n.kind = 'function'
    UNION ALL
    SELECT 'schema ' || n.nspname, 'the migration makes a schema of this name, and something else is in it: ALTER SCHEMA '
        || format('%I RENAME TO %I', n.nspname, 'v2_' || n.nspname)
    FROM pg_namespace AS n WHERE n.nspname IN ('baylight_next', 'v2_migration', 'v2_archive')
      AND to_regclass('v2_migration.steps') IS NULL
    UNION ALL
    SELECT n.nspname || '.' || c.relname, 'V2''s names are to stay as views in the schema of its role, where this is in the way: '
        || 'rename it, or choose legacy_names = "gone"'
    FROM pg_class AS c INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = :role::text AND n.nspname <> 'public' AND c.relname = ANY(:tables)
    UNION ALL
    SELECT 'schema ' || n.nspname, 'V2''s names are to stay as views in it, and this account may not create in it: GRANT CREATE '
        || format('ON SCHEMA %I TO %I', n.nspname, current_user)
    FROM pg_namespace AS n WHERE n.nspname = :role AND NOT has_schema_privilege(n.oid, 'CREATE')
) AS f
ORDER BY f.id LIMIT 20;
