-- name: store
-- For the triggers, and for a later run without the file.
UPDATE v2_migration.control SET choices = :choices;

-- name: forget_type_rules
-- store writes all of them again.
DELETE FROM v2_migration.type_rules;

-- name: add_type_rule
-- Devices of this role whose EUI begins with the prefix have this type, unless a longer prefix fits.
INSERT INTO v2_migration.type_rules (role, prefix, device_type) VALUES (:role, :prefix, :device_type);

-- name: stored
-- As store has left them; empty before.
SELECT choices FROM v2_migration.control;
