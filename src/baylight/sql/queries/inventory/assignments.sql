-- name: find_device
-- A device of either registry by its DevEUI; two rows if it is in both.
SELECT 'sensor' AS role, id, dev_eui FROM sensor_devices WHERE dev_eui = $1
UNION ALL
SELECT 'display', id, dev_eui FROM display_devices WHERE dev_eui = $1;

-- name: sensors_of
-- Ids of the sensors that serve live spaces. $1 codes, $2 ids of the spaces.
SELECT sensor_device_id AS id FROM spaces
WHERE (code = ANY($1::text[]) OR id = ANY($2::uuid[])) AND deleted_at IS NULL AND sensor_device_id IS NOT NULL;

-- name: lock_sensors
-- In the order in which everybody locks them. $1 ids.
SELECT id, dev_eui, device_type, enabled, lifecycle_state, mobile AS shared FROM sensor_devices
WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: lock_displays
-- In the order in which everybody locks them. $1 ids.
SELECT d.id, d.dev_eui, d.device_type, d.enabled, d.lifecycle_state, d.shared, d.shared_rule, d.display_codes, t.codec,
    coalesce(t.default_config -> 'display_codes', '{}') AS type_codes
FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = ANY($1::uuid[]) ORDER BY d.id FOR NO KEY UPDATE OF d;

-- name: lock_spaces
-- Live spaces by code ($1), by id ($2) and those that devices ($3) serve, in the order in which everybody locks them.
SELECT id, code, sensor_device_id, display_device_id, sensor_deveui, display_deveui FROM spaces
WHERE (code = ANY($1::text[]) OR id = ANY($2::uuid[]) OR sensor_device_id = ANY($3::uuid[])
    OR display_device_id = ANY($3::uuid[])) AND deleted_at IS NULL
ORDER BY id FOR NO KEY UPDATE;

-- name: served
-- Ids of the live spaces that displays serve. $1 display ids.
SELECT id FROM spaces WHERE display_device_id = ANY($1::uuid[]) AND deleted_at IS NULL;

-- name: rows
-- What counts of one space and role from an instant on, the earliest first.
SELECT id, space_id, device_id, lower(valid) AS from_at, upper(valid) AS until_at, shared
FROM device_assignments
WHERE space_id = $1 AND role = $2 AND superseded_at IS NULL AND coalesce(upper(valid) > $3, true)
ORDER BY lower(valid);

-- name: row_until
-- What counted until an instant at which another device came.
SELECT id, space_id, device_id, lower(valid) AS from_at, upper(valid) AS until_at, shared
FROM device_assignments
WHERE space_id = $1 AND role = $2 AND superseded_at IS NULL AND upper(valid) = $3 AND device_id = $4;

-- name: supersede
-- Rows that a correction replaces. $1 ids, $2 when.
UPDATE device_assignments SET superseded_at = $2 WHERE id = ANY($1::uuid[]);

-- name: insert
-- One row; a piece of an earlier one ($9) keeps its reason and actor.
INSERT INTO device_assignments (
    space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor, recorded_at
)
SELECT $1, $2, CASE WHEN $2 = 'sensor' THEN $3::uuid END, CASE WHEN $2 = 'display' THEN $3::uuid END,
    tstzrange($4, $5), $6, coalesce(e.reason, $7), coalesce(e.actor, $8), $10
FROM (SELECT 1) AS one LEFT JOIN device_assignments AS e ON e.id = $9::uuid;

-- name: written
-- The rows of assignments are written by the caller; until the end of the transaction.
SELECT set_config('baylight.assignments', 'written', true);

-- name: latest_reading
-- What a sensor ($1 DevEUI) said last since an instant, and when it was made by the network's clock.
SELECT occupancy, least(coalesce(network_at, received_at), received_at) AS at FROM uplinks
WHERE dev_eui = $1 AND received_at >= $2 AND occupancy IS NOT NULL
    AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')
ORDER BY received_at DESC LIMIT 1;

-- name: set_reading
-- The reading that counts for the place where a sensor is.
UPDATE sensor_devices SET occupancy = $2, occupancy_at = $3 WHERE id = $1;

-- name: set_mobile
-- It may serve several spaces.
UPDATE sensor_devices SET mobile = true WHERE id = $1;

-- name: as_of
-- Who served whom at $1: of a space ($2), of a device ($3), or all of both null.
SELECT s.code AS space, a.role, coalesce(n.dev_eui, d.dev_eui) AS dev_eui, lower(a.valid) AS from_at,
    upper(a.valid) AS until_at, a.reason, a.actor, a.recorded_at, a.superseded_at
FROM device_assignments AS a
INNER JOIN spaces AS s ON s.id = a.space_id
LEFT JOIN sensor_devices AS n ON n.id = a.sensor_device_id
LEFT JOIN display_devices AS d ON d.id = a.display_device_id
WHERE a.superseded_at IS NULL AND a.valid @> $1::timestamptz
    AND ($2::uuid IS NULL OR a.space_id = $2) AND ($3::uuid IS NULL OR a.device_id = $3)
ORDER BY s.code, a.role;

-- name: history
-- All intervals of a space ($1) or a device ($2), the newest first; $3: those too that a correction replaced.
SELECT s.code AS space, a.role, coalesce(n.dev_eui, d.dev_eui) AS dev_eui, lower(a.valid) AS from_at,
    upper(a.valid) AS until_at, a.reason, a.actor, a.recorded_at, a.superseded_at
FROM device_assignments AS a
INNER JOIN spaces AS s ON s.id = a.space_id
LEFT JOIN sensor_devices AS n ON n.id = a.sensor_device_id
LEFT JOIN display_devices AS d ON d.id = a.display_device_id
WHERE ($1::uuid IS NULL OR a.space_id = $1) AND ($2::uuid IS NULL OR a.device_id = $2)
    AND ($3::boolean OR a.superseded_at IS NULL)
ORDER BY lower(a.valid) DESC, a.recorded_at DESC, a.role;

-- name: space_then
-- The space that had a code then: of those that were not deleted yet, the one deleted first.
SELECT id, code, created_at <= $2 AS there, current_state FROM spaces
WHERE code = $1 AND (deleted_at IS NULL OR deleted_at > $2)
ORDER BY deleted_at NULLS LAST LIMIT 1;

-- name: state_then
-- The change that made the state of a space at an instant.
SELECT new_state AS state, reason, "timestamp" AS since FROM state_changes
WHERE space_id = $1 AND "timestamp" <= $2 ORDER BY "timestamp" DESC, id DESC LIMIT 1;

-- name: state_before
-- What it was before its first change.
SELECT previous_state AS state FROM state_changes WHERE space_id = $1 ORDER BY "timestamp", id LIMIT 1;

-- name: reading_then
-- The newest statement of a sensor about the bay until an instant ($2) since it came there ($3).
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data,
    reading, occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = $1 AND received_at <= $2 AND received_at >= $3 AND occupancy IS NOT NULL
    AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')
ORDER BY received_at DESC LIMIT 1;

-- name: uplinks_of_space
-- Uplinks of the sensors that served a space ($1) while they did, the newest first, before $2; at most $3.
SELECT
    u.dev_eui, u.deduplication_id, u.observed_at, u.network_at, u.received_at, u.f_cnt, u.f_port,
    encode(u.data, 'hex') AS data, u.reading, u.occupancy, u.outcome, u.error, u.rssi_dbm, u.snr_db, u.gateway_id
FROM device_assignments AS a
INNER JOIN sensor_devices AS n ON n.id = a.sensor_device_id
INNER JOIN uplinks AS u
    ON u.dev_eui = n.dev_eui AND u.received_at >= lower(a.valid)
    AND (upper_inf(a.valid) OR u.received_at < upper(a.valid))
WHERE a.space_id = $1 AND a.role = 'sensor' AND a.superseded_at IS NULL
    AND ($2::timestamptz IS NULL OR u.received_at < $2)
ORDER BY u.received_at DESC LIMIT $3;

-- name: reported_then
-- What a display ($1 DevEUI) had last told that it shows, at an instant.
SELECT reading ->> 'code' AS code, received_at AS at FROM uplinks
WHERE dev_eui = $1 AND received_at <= $2 AND outcome = 'display_report' AND reading ? 'code'
ORDER BY received_at DESC LIMIT 1;

-- name: sent_then
-- What was last proven sent to a display ($1 id) at an instant, and how.
SELECT new_state AS state, display_code AS code,
    CASE WHEN shown_at <= $2 THEN shown_at WHEN confirmed_at <= $2 THEN confirmed_at ELSE transmitted_at END AS at,
    CASE WHEN shown_at <= $2 THEN 'reported' WHEN confirmed_at <= $2 THEN 'acknowledged' ELSE 'transmitted' END AS proof
FROM actuations
WHERE display_device_id = $1 AND created_at <= $2 AND least(transmitted_at, confirmed_at, shown_at) <= $2
    AND trigger_type <> 'device_command'
ORDER BY least(transmitted_at, confirmed_at, shown_at) DESC LIMIT 1;

-- name: codec_of_display
-- How a display is spoken to, and its states' codes of today.
SELECT t.codec, d.id, d.display_codes FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.dev_eui = $1;
