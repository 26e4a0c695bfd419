-- name: state
-- The change that made the state of a space at an instant.
SELECT new_state AS state, reason, "timestamp" AS since FROM state_changes
WHERE space_id = :space_id AND "timestamp" <= :at ORDER BY "timestamp" DESC, id DESC LIMIT 1;

-- name: first_state
-- The state of a space before its first change.
SELECT previous_state FROM state_changes WHERE space_id = :space_id ORDER BY "timestamp", id LIMIT 1;

-- name: reading
-- The newest statement of a sensor about the space until an instant, since the sensor came there.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data,
    reading, occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = :dev_eui AND received_at <= :at AND received_at >= :since AND occupancy IS NOT NULL
    AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')
ORDER BY received_at DESC LIMIT 1;

-- name: uplinks_of_space
-- Uplinks that the sensors of a space sent while they served it, the newest first, received before an instant and in
-- [:from_at, :until_at).
SELECT
    u.dev_eui, u.deduplication_id, u.observed_at, u.network_at, u.received_at, u.f_cnt, u.f_port,
    encode(u.data, 'hex') AS data, u.reading, u.occupancy, u.outcome, u.error, u.rssi_dbm, u.snr_db, u.gateway_id
FROM device_assignments AS a
INNER JOIN sensor_devices AS n ON n.id = a.sensor_device_id
INNER JOIN uplinks AS u
    ON u.dev_eui = n.dev_eui AND u.received_at >= lower(a.valid)
    AND (upper_inf(a.valid) OR u.received_at < upper(a.valid))
WHERE a.space_id = :space_id AND a.role = 'sensor' AND a.superseded_at IS NULL
    AND (:before::timestamptz IS NULL OR u.received_at < :before)
    AND (:from_at::timestamptz IS NULL OR u.received_at >= :from_at)
    AND (:until_at::timestamptz IS NULL OR u.received_at < :until_at)
ORDER BY u.received_at DESC LIMIT :limit;

-- name: reported
-- The newest code that a display had reported at an instant.
SELECT reading ->> 'code' AS code, received_at AS at FROM uplinks
WHERE dev_eui = :dev_eui AND received_at <= :at AND outcome = 'display_report' AND reading ? 'code'
ORDER BY received_at DESC LIMIT 1;

-- name: sent
-- The newest command that was proven at an instant to have been sent to a display, and by which proof.
SELECT new_state AS state, display_code AS code,
    CASE WHEN shown_at <= :at THEN shown_at WHEN confirmed_at <= :at THEN confirmed_at ELSE transmitted_at END AS at,
    CASE WHEN shown_at <= :at THEN 'reported' WHEN confirmed_at <= :at THEN 'acknowledged' ELSE 'transmitted' END AS proof
FROM actuations
WHERE display_device_id = :display_id AND created_at <= :at AND least(transmitted_at, confirmed_at, shown_at) <= :at
    AND trigger_type <> 'device_command'
ORDER BY least(transmitted_at, confirmed_at, shown_at) DESC LIMIT 1;

-- name: display
-- The codec of a display, and its present codes.
SELECT d.id, t.codec, d.display_codes FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.dev_eui = :dev_eui;
