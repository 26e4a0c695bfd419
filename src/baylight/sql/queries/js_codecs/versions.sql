-- name: lock_name
-- Locks the versions of a codec until the transaction ends, so that they are numbered and activated one after the other.
SELECT pg_advisory_xact_lock(hashtext('payload_codecs'), hashtext(:name));

-- name: insert
-- The next version of a codec. Returns its number.
INSERT INTO payload_codecs (name, version, source, mapping, examples, notes, created_by)
SELECT :name, coalesce(max(version), 0) + 1, :source, :mapping, :examples, :notes, :created_by
FROM payload_codecs WHERE name = :name
RETURNING version;

-- name: list
-- All versions, or those of a codec, newest first, without their source.
SELECT name, version, active, activated_at, created_by, created_at, notes, length(source) AS source_length,
    jsonb_array_length(examples) AS examples, mapping IS NOT NULL AS has_mapping
FROM payload_codecs
WHERE :name::text IS NULL OR name = :name
ORDER BY name, version DESC;

-- name: find
-- A version; without :version the active one, else the newest.
SELECT id, name, version, source, mapping, examples, notes, active, activated_at, created_by, created_at
FROM payload_codecs
WHERE name = :name AND (:version::integer IS NULL OR version = :version)
ORDER BY active DESC, version DESC
LIMIT 1;

-- name: find_newest
-- The content of the newest version of a codec.
SELECT version, source, mapping, examples FROM payload_codecs WHERE name = :name ORDER BY version DESC LIMIT 1;

-- name: deactivate
-- Deactivates a codec. Returns the version that was active.
UPDATE payload_codecs SET active = false WHERE name = :name AND active RETURNING version;

-- name: activate
-- Activates a version.
UPDATE payload_codecs SET active = true, activated_at = :now WHERE name = :name AND version = :version;

-- name: list_users
-- Device types that use a codec (`js:<name>`), and sensors that use it by their own setting; at most 20.
SELECT code AS user_name FROM device_types WHERE codec = :codec AND enabled
UNION ALL
SELECT dev_eui FROM sensor_devices WHERE payload_decoder = :codec AND enabled AND lifecycle_state <> 'decommissioned'
ORDER BY user_name
LIMIT 20;

-- name: frames
-- FPorts and lengths of the newest uplinks with data, at most 100 each of at most 100 devices that use a codec
-- (`js:<name>`), and how many there are.
SELECT u.f_port, length(u.data) AS length, count(*) AS seen
FROM (
    SELECT s.dev_eui, s.last_seen_at FROM sensor_devices AS s INNER JOIN device_types AS t ON t.code = s.device_type
    WHERE coalesce(s.payload_decoder, t.codec) = :codec AND s.last_seen_at IS NOT NULL
    UNION ALL
    SELECT d.dev_eui, d.last_seen_at FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
    WHERE t.codec = :codec AND d.last_seen_at IS NOT NULL
    ORDER BY last_seen_at DESC
    LIMIT 100
) AS device
CROSS JOIN LATERAL (
    SELECT f_port, data FROM uplinks WHERE dev_eui = device.dev_eui ORDER BY received_at DESC LIMIT 100
) AS u
WHERE u.f_port > 0 AND length(u.data) > 0
GROUP BY u.f_port, length(u.data)
ORDER BY u.f_port, length(u.data);
