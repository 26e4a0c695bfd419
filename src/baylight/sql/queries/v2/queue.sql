-- name: is_set_up
-- True if there is a queue, and Baylight's tables stand beside V2's.
SELECT to_regclass('v2_migration.queue') IS NOT NULL AND to_regclass('baylight_next.spaces') IS NOT NULL AS set_up;

-- name: waiting
-- Number of entries in the queue, and of decisions that V2's rows do not have yet.
SELECT (SELECT count(*) FROM v2_migration.queue) + (SELECT count(*) FROM v2_migration.late_states) AS entries;

-- name: forget_late_states
-- Forget the decisions that V2's rows do not have yet.
DELETE FROM v2_migration.late_states;

-- name: drain
-- Let at most `:entries` rows follow V2's. Return how many did.
SELECT v2_migration.drain(:entries) AS followed;
