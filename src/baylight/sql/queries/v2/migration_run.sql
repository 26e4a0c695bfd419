-- name: recorded
-- Every step that has begun.
SELECT name, stage, done_at, place, rows, tries FROM v2_migration.steps ORDER BY started_at;

-- name: mark_started
-- Note that a step has begun. A step that has begun before keeps its row.
INSERT INTO v2_migration.steps (name, stage) VALUES (:step, :stage) ON CONFLICT (name) DO NOTHING;

-- name: mark_done
-- Note that a step is done. It is not run again.
UPDATE v2_migration.steps SET done_at = clock_timestamp() WHERE name = :step;

-- name: note_tries
-- Note the number of tries for the lock of a step.
UPDATE v2_migration.steps SET tries = :tries WHERE name = :step;

-- name: note_place
-- Note where a step in batches stands, and add the rows that it has carried since.
UPDATE v2_migration.steps SET place = :place, rows = rows + :rows WHERE name = :step;

-- name: place
-- Place at which a step in batches stands.
SELECT place FROM v2_migration.steps WHERE name = :step;

-- name: forget_stage
-- Forget that the steps of this stage are done, so that they run again.
DELETE FROM v2_migration.steps WHERE stage = :stage;

-- name: forget_step
-- Remove the record of this step, so that it runs again.
DELETE FROM v2_migration.steps WHERE name = :step;

-- name: count_quarantine
-- Number of values that could not be carried over, and without those that a person has left behind.
SELECT count(*) AS values FROM v2_migration.quarantine_open;

-- name: write_as_copy
-- Switch off the migration's triggers until the end of the transaction, since all writes are copies of the other side.
SET LOCAL baylight.v2_sync = 'on';

-- name: write_in_bulk
-- Switch off those of Baylight's own triggers until the end of the transaction whose work is done for all rows at once.
SET LOCAL baylight.v2_bulk = 'on';
