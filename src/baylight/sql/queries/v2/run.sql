-- name: lag_hidden
-- True if this account may not see how far replicas are behind.
SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL) AS hidden;

-- name: standing
-- Side that decides, and the number of states that V2 wrote after the switch.
SELECT owner, (SELECT coalesce(sum(times), 0)::bigint FROM v2_migration.ignored_writes) AS ignored_writes
FROM v2_migration.control;

-- name: quarantined
-- Number of values that could not be carried over, by reason.
SELECT reason, count(*) AS values FROM v2_migration.quarantine GROUP BY reason ORDER BY 2 DESC;
