-- name: recorded
-- Every step that has begun.
SELECT name, stage, done_at, place, rows, tries FROM v2_migration.steps ORDER BY started_at;

-- name: mark_started
-- A step that has begun before keeps its row.
INSERT INTO v2_migration.steps (name, stage) VALUES (:step, :stage) ON CONFLICT (name) DO NOTHING;

-- name: mark_done
-- A step that is done is not run again.
UPDATE v2_migration.steps SET done_at = clock_timestamp() WHERE name = :step;

-- name: note_tries
-- How often the lock of a step was asked for.
UPDATE v2_migration.steps SET tries = :tries WHERE name = :step;

-- name: note_place
-- How far a step in batches has come, and how many rows more it has carried.
UPDATE v2_migration.steps SET place = :place, rows = rows + :rows WHERE name = :step;

-- name: place
-- How far a step in batches has come.
SELECT place FROM v2_migration.steps WHERE name = :step;

-- name: forget_stage
-- The steps of this stage are to be run again.
DELETE FROM v2_migration.steps WHERE stage = :stage;

-- name: forget_step
-- This step is to be run again.
DELETE FROM v2_migration.steps WHERE name = :step;

-- name: count_quarantine
-- How many values could not be carried over.
SELECT count(*) AS values FROM v2_migration.quarantine;

-- name: write_as_copy
-- Until the end of the transaction, what is written is a copy of the other side: the migration's triggers do not fire.
SET LOCAL baylight.v2_sync = 'on';

-- name: write_in_bulk
-- Until the end of the transaction, Baylight's own triggers do not fire whose work is done for all rows at once.
SET LOCAL baylight.v2_bulk = 'on';
