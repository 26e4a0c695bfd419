-- name: relation_exists
-- True if there is a table or view of this name.
SELECT to_regclass(:relation) IS NOT NULL AS found;

-- name: schema_exists
-- True if there is a schema of this name.
SELECT to_regnamespace(:schema) IS NOT NULL AS found;

-- name: record_migration
-- Record a migration as applied, as `baylight db upgrade` does.
INSERT INTO baylight_next.schema_migrations (name, checksum) VALUES (:name, :checksum);

-- name: add_unknown_type
-- Add the device type for V2's devices of unknown type.
INSERT INTO baylight_next.device_types (code, category, manufacturer, model, codec, uplink_interval_s)
VALUES (:code, :category, 'unknown', 'unknown', 'unknown', 3600)
ON CONFLICT (code) DO NOTHING;

-- name: start_own_ids
-- Set the next id of state_changes, and note it. V2's ids are kept, so the ids of Baylight's own rows begin far above those that V2
-- will reach.
UPDATE v2_migration.control SET first_own_change = setval(
    'baylight_next.state_changes_id_seq', coalesce((SELECT max(id) FROM public.state_changes), 0) + 1000000000
) + 1
RETURNING first_own_change AS id;

-- name: note_quiet_trigger
-- Keep the definition of a trigger that rows carried in bulk do not fire.
INSERT INTO v2_migration.quiet_triggers (table_name, trigger_name, definition)
SELECT :table::text, :trigger::text, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = ('baylight_next.' || :table)::regclass AND tgname = :trigger
ON CONFLICT (table_name, trigger_name) DO UPDATE SET definition = excluded.definition;

-- name: create_quiet_triggers
-- Statements that create the noted triggers again. If `:quiet`, rows carried in bulk do not fire them; else they are as
-- they were.
SELECT s.statement FROM v2_migration.quiet_triggers AS t
CROSS JOIN LATERAL (
    VALUES
    (1, format('DROP TRIGGER %I ON baylight_next.%I', t.trigger_name, t.table_name)),
    (2, CASE WHEN :quiet::boolean
             THEN replace(t.definition, 'EXECUTE',
                          'WHEN (current_setting(''baylight.v2_bulk'', true) IS DISTINCT FROM ''on'') EXECUTE')
             ELSE t.definition END)
) AS s (place, statement)
ORDER BY t.table_name, t.trigger_name, s.place;
