-- name: current
-- The account of this session, and the owner of the schema. `owns`: the account may do what the owner may. No row without a
-- schema.
SELECT
    current_user::text AS name, pg_get_userbyid(c.relowner)::text AS owner,
    pg_has_role(c.relowner, 'USAGE') AS owns, r.rolsuper AS is_superuser
FROM pg_class AS c INNER JOIN pg_roles AS r ON r.rolname = current_user
WHERE c.oid = to_regclass('schema_migrations');

-- name: foreign
-- Statements that give the functions for service users to the owner of the schema. They run with the rights of their owner.
SELECT format('ALTER FUNCTION %s OWNER TO %I', p.oid::regprocedure, pg_get_userbyid(c.relowner)) AS statement
FROM pg_proc AS p INNER JOIN pg_class AS c ON c.oid = to_regclass('schema_migrations') AND c.relowner <> p.proowner
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'service\_%'
ORDER BY statement;

-- name: exists
-- True if the server has an account of this name.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name);

-- name: too_mighty
-- What the account :name may do that no service user may do, in words.
SELECT t.right_ FROM pg_roles AS r
CROSS JOIN LATERAL (
    VALUES
    (r.rolsuper, 'it is a superuser'),
    (r.rolcreaterole, 'it may create users'),
    (r.rolcreatedb, 'it may create databases'),
    (r.rolreplication, 'it may copy the server (REPLICATION)'),
    (r.rolbypassrls, 'it may pass over row level security'),
    (NOT r.rolcanlogin, 'it may not log in'),
    (EXISTS (SELECT FROM pg_auth_members AS m WHERE m.member = r.oid), 'it is a member of other accounts'),
    (
        -- Tables of one session are dropped with it.
        EXISTS (
            SELECT FROM pg_shdepend AS d LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
            WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid AND d.deptype = 'o'
                AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
                AND c.relpersistence IS DISTINCT FROM 't'
        ),
        'it owns this database or objects in it'
    )
) AS t (found, right_)
WHERE r.rolname = :name AND t.found;

-- name: put_account
-- The statement that creates the account :name (:verb: CREATE) or sets its password (ALTER). :verifier: of the password; null:
-- no password.
SELECT format('%s ROLE %I LOGIN PASSWORD %L', :verb::text, :name::text, :verifier::text);

-- name: lock
-- Lets one session after the other grant rights: PostgreSQL refuses two that do so at once.
SELECT pg_advisory_xact_lock(hashtext('baylight.service_users'));

-- name: list
-- Service users: accounts other than the owner with the right to run service_drop_partitions.
SELECT DISTINCT r.rolname::text AS name
FROM pg_proc AS p
CROSS JOIN LATERAL aclexplode(p.proacl) AS a
INNER JOIN pg_roles AS r ON r.oid = a.grantee
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = 'service_drop_partitions' AND a.grantee <> p.proowner
ORDER BY name;

-- name: differences
-- Statements that give the account :name the rights that a service user has, and no others. :wanted: rights on tables and
-- views, by name. No row: the account has these rights, from whatever source.
WITH rights AS (
    SELECT c.oid, wanted.it AS wanted, p.name AS privilege,
        has_table_privilege(:name::name, c.oid, p.name)
        OR NOT wanted.it AND p.name IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
        AND has_any_column_privilege(:name::name, c.oid, p.name) AS has
    FROM pg_class AS c
    CROSS JOIN LATERAL unnest(
        ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']
        || CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN ARRAY['MAINTAIN'] END
    ) AS p (name)
    CROSS JOIN LATERAL (SELECT coalesce(:wanted::jsonb -> c.relname::text ? p.name, false)) AS wanted (it)
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)

SELECT format(
    CASE WHEN wanted THEN 'GRANT %s ON %s TO %I' ELSE 'REVOKE %s ON %s FROM PUBLIC, %3$I' END,
    privilege, oid::regclass, :name::name
) AS statement
FROM rights WHERE has <> wanted
UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, :name::name)
FROM pg_proc AS p
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname LIKE 'service\_%'
    AND NOT has_function_privilege(:name::name, p.oid, 'EXECUTE')
UNION ALL
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), :name::name)
WHERE NOT has_schema_privilege(:name::name, current_schema(), 'USAGE')
UNION ALL
SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', current_schema(), :name::name)
WHERE has_schema_privilege(:name::name, current_schema(), 'CREATE')
UNION ALL
SELECT format('GRANT %s ON DATABASE %I TO %I', p.name, current_database(), :name::name)
FROM unnest(ARRAY['CONNECT', 'TEMPORARY']) AS p (name)
WHERE NOT has_database_privilege(:name::name, current_database(), p.name)
UNION ALL
SELECT format('REVOKE CREATE ON DATABASE %I FROM PUBLIC, %I', current_database(), :name::name)
WHERE has_database_privilege(:name::name, current_database(), 'CREATE')
ORDER BY statement;

-- name: keep
-- Sets how many months of history no service may drop.
UPDATE installation
SET min_uplink_months = least(:uplink_months::integer, 32767), min_actuation_months = least(:actuation_months::integer, 32767);

-- name: kept
-- Months of history that no service may drop.
SELECT min_uplink_months AS uplink_months, min_actuation_months AS actuation_months FROM installation;
