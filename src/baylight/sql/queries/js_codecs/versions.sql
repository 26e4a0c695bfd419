-- name: lock_name
-- Versions of a codec are numbered one after the other. $1 name.
SELECT pg_advisory_xact_lock(hashtext('payload_codecs'), hashtext($1));

-- name: insert
-- The next version. $1 name, $2 source, $3 mapping, $4 examples, $5 notes, $6 actor.
INSERT INTO payload_codecs (name, version, source, mapping, examples, notes, created_by)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5, $6 FROM payload_codecs WHERE name = $1
RETURNING version;

-- name: list
-- All, or those of a name ($1), newest first, without their text.
SELECT name, version, active, activated_at, created_by, created_at, notes, length(source) AS source_length,
    jsonb_array_length(examples) AS examples, mapping IS NOT NULL AS tells_occupancy
FROM payload_codecs
WHERE $1::text IS NULL OR name = $1
ORDER BY name, version DESC;

-- name: find
-- $1 name, $2 version; without one the active, else the newest.
SELECT id, name, version, source, mapping, examples, notes, active, activated_at, created_by, created_at
FROM payload_codecs
WHERE name = $1 AND ($2::integer IS NULL OR version = $2)
ORDER BY active DESC, version DESC
LIMIT 1;

-- name: newest
-- $1 name.
SELECT version, source, mapping, examples FROM payload_codecs WHERE name = $1 ORDER BY version DESC LIMIT 1;

-- name: deactivate
-- $1 name; the version that was active.
UPDATE payload_codecs SET active = false WHERE name = $1 AND active RETURNING version;

-- name: activate
-- $1 name, $2 version, $3 now.
UPDATE payload_codecs SET active = true, activated_at = $3 WHERE name = $1 AND version = $2;

-- name: users
-- Device types and, apart from them, sensors that decode by $1 (`js:<name>`).
SELECT code AS what FROM device_types WHERE codec = $1 AND enabled
UNION ALL
SELECT dev_eui FROM sensor_devices WHERE payload_decoder = $1 AND enabled AND lifecycle_state <> 'decommissioned'
ORDER BY what
LIMIT 20;

-- name: add_type
-- A type of the operator's own. $1 code, $2 manufacturer, $3 model, $4 DevEUI prefixes, $5 uplink interval,
-- $6 intervals of silence, $7 category, $8 codec, $9 default_config.
INSERT INTO device_types (
    code, manufacturer, model, dev_eui_prefixes, uplink_interval_s, silent_after_intervals, category, codec, default_config
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (code) DO NOTHING
RETURNING code;

-- name: display_types
-- Display types that speak by $1 (`js:<name>`) and are enabled or have displays.
SELECT t.code, t.default_config FROM device_types AS t
WHERE t.category = 'display' AND t.codec = $1
    AND (t.enabled OR EXISTS (SELECT FROM display_devices AS d WHERE d.device_type = t.code))
ORDER BY t.code;
