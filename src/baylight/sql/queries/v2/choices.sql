-- name: store
-- Store the choices for the triggers, and for a later run without the file.
UPDATE v2_migration.control SET choices = :choices;

-- name: forget_type_rules
-- Delete all rules for types. The caller writes them again.
DELETE FROM v2_migration.type_rules;

-- name: add_type_rule
-- Add the type of devices of this role whose EUI begins with the prefix. The longest prefix that fits counts.
INSERT INTO v2_migration.type_rules (role, prefix, device_type) VALUES (:role, :prefix, :device_type);

-- name: stored
-- Choices that were stored. NULL before.
SELECT choices FROM v2_migration.control;
