-- The keys of the history of assignments are built. From now on the trigger of spaces writes its changes again.
DROP TRIGGER v2_log_assignments ON baylight_next.spaces;
DROP TRIGGER v2_refuse_assignments ON baylight_next.device_assignments;
ALTER TABLE baylight_next.spaces ENABLE TRIGGER spaces_assignments_recorded;
UPDATE v2_migration.control SET assignments_logged = false;
