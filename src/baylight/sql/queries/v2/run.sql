-- name: unsafe
-- Why the migration must not run under this account. V2's triggers run with its rights when Baylight writes V2's rows, so
-- a superuser would give its rights to the owner of V2's tables; and the owner of a schema can replace what is in it.
SELECT CASE WHEN c.relname IS NULL
            THEN format('the schema %I belongs to %I', n.nspname, pg_get_userbyid(n.nspowner))
            ELSE format('%I is a superuser, and %I.%I belongs to %I', current_user, n.nspname, c.relname,
                        pg_get_userbyid(c.relowner)) END AS reason
FROM pg_namespace AS n
INNER JOIN pg_roles AS me ON me.rolname = current_user
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND me.rolsuper AND c.relowner <> me.oid
    AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
WHERE (n.nspname IN ('public', 'v2_archive') AND c.oid IS NOT NULL)
   OR (n.nspname IN ('baylight_next', 'v2_migration', 'v2_archive') AND n.nspowner <> me.oid)
ORDER BY reason LIMIT 1;

-- name: lag_hidden
-- True if this account may not see how far replicas are behind.
SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL) AS hidden;

-- name: standing
-- Side that decides, and the number of states that V2 wrote after the switch.
SELECT owner, (SELECT coalesce(sum(times), 0)::bigint FROM v2_migration.ignored_writes) AS ignored_writes
FROM v2_migration.control;

-- name: quarantined
-- Number of values that could not be carried over, by reason.
SELECT reason, count(*) AS values FROM v2_migration.quarantine_open GROUP BY reason ORDER BY 2 DESC;
