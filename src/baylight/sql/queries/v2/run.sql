-- name: lag_hidden
-- This account may not see how far replicas are behind.
SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL) AS hidden;

-- name: standing
-- Who decides, and how often V2 wrote a state after the switch.
SELECT owner, (SELECT coalesce(sum(times), 0)::bigint FROM v2_migration.ignored_writes) AS ignored_writes
FROM v2_migration.control;

-- name: quarantined
-- How many values could not be carried over, by reason.
SELECT reason, count(*) AS values FROM v2_migration.quarantine GROUP BY reason ORDER BY 2 DESC;
