-- name: spaces
-- Live spaces with what decisions read, without lock: one (:code), or a page after a code (:after).
SELECT id, code, location_id, sensor_device_id AS sensor_id, display_device_id AS display_id, current_state AS state,
       state_reason AS reason, sensor_state, default_state, maintenance, recompute_at, ctid::text AS ctid
FROM spaces
WHERE deleted_at IS NULL AND (:code::text IS NULL OR code = :code) AND (:after::text IS NULL OR code > :after)
ORDER BY code
LIMIT :limit;

-- name: uplink
-- The newest uplink of a device that it was believed in ($2 true: with occupancy), or the newest of all.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data, reading,
    occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = $1
    AND (NOT $2::boolean OR (occupancy IS NOT NULL AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')))
ORDER BY received_at DESC
LIMIT 1;

-- name: cause_uplink
-- The uplink that changed a state.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data, reading,
    occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks WHERE observed_at = $1 AND deduplication_id::text = $2;

-- name: codec
-- How the display of an actuation is spoken to.
SELECT t.codec FROM actuations AS a
INNER JOIN display_devices AS d ON d.id = a.display_device_id
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE a.id = $1;

-- name: commanded
-- What was last handed to the network server for a display.
SELECT new_state AS state, display_code AS code, sent_at AS at FROM actuations WHERE id = $1;

-- name: display_command
-- The id of the actuation that a display was last sent.
SELECT commanded_actuation_id FROM display_devices WHERE dev_eui = $1;

-- name: cause
-- The reservation or override that won, without personal data.
SELECT 'reservation' AS kind, id, NULL AS state, start_time AS from_at, end_time AS until_at, created_by AS actor, NULL AS reason
FROM reservations WHERE id = $1
UNION ALL
SELECT 'override', id, state, lower(valid), upper(valid), actor, reason FROM overrides WHERE id = $1;
