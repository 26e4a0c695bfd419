-- name: relation_exists
-- Whether there is a table or view of this name.
SELECT to_regclass(:relation) IS NOT NULL AS found;

-- name: schema_exists
-- Whether there is a schema of this name.
SELECT to_regnamespace(:schema) IS NOT NULL AS found;

-- name: record_migration
-- As `baylight db upgrade` records it.
INSERT INTO baylight_next.schema_migrations (name, checksum) VALUES (:name, :checksum);

-- name: add_unknown_type
-- For devices of V2 whose type is not known.
INSERT INTO baylight_next.device_types (code, category, manufacturer, model, codec, uplink_interval_s)
VALUES (:code, :category, 'unknown', 'unknown', 'unknown', 3600)
ON CONFLICT (code) DO NOTHING;

-- name: start_own_ids
-- V2's ids are kept in state_changes; ids of Baylight's own rows begin far above those that V2 will reach.
SELECT setval('baylight_next.state_changes_id_seq',
              coalesce((SELECT max(id) FROM public.state_changes), 0) + 1000000000) AS id;

-- name: note_quiet_trigger
-- Keep the definition of a trigger that rows carried in bulk do not fire.
INSERT INTO v2_migration.quiet_triggers (table_name, trigger_name, definition)
SELECT :table::text, :trigger::text, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = ('baylight_next.' || :table)::regclass AND tgname = :trigger
ON CONFLICT (table_name, trigger_name) DO UPDATE SET definition = excluded.definition;

-- name: create_quiet_triggers
-- Statements that create these triggers again: quiet, so that rows carried in bulk do not fire them, or as they were.
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
