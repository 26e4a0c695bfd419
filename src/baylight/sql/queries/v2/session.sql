-- name: try_to_be_alone
-- Acquire the advisory lock of the migration, if it is free.
SELECT pg_try_advisory_lock(:key::bigint) AS got;

-- name: let_others_in
-- Release the advisory lock.
SELECT pg_advisory_unlock(:key::bigint) AS had;

-- name: holders
-- Sessions that hold locks on these tables, the oldest transaction first.
SELECT DISTINCT a.pid, a.usename::text AS role, a.state, left(a.query, 80) AS query, now() - a.xact_start AS age
FROM pg_locks AS l
INNER JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.relation IN (SELECT t::regclass FROM unnest(:tables::text[]) AS t) AND l.pid <> pg_backend_pid()
ORDER BY age DESC NULLS LAST LIMIT 5;
