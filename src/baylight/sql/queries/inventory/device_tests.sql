-- name: insert
-- A test that begins.
INSERT INTO device_tests (
    id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s, actor
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: lock
-- A test with what its result rests on, until the end of the transaction.
SELECT id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s, result
FROM device_tests WHERE id = $1 FOR UPDATE;

-- name: lock_running
-- Tests without a result, as `lock` has them, without those that somebody else looks at.
SELECT id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s, result
FROM device_tests WHERE result = 'running' ORDER BY started_at FOR UPDATE SKIP LOCKED;

-- name: end
-- Its result, once.
UPDATE device_tests SET result = $2, detail = $3, seconds = $4, ended_at = $5, actuation_id = $6 WHERE id = $1;

-- name: list
-- Tests, the newest first: one ($1), of a device ($2), of a space ($3); at most $4.
SELECT t.id, t.kind, s.code AS space, n.dev_eui AS sensor, d.dev_eui AS display, t.started_at, t.deadline_at,
    t.within_s, t.ended_at, t.result, t.detail, t.seconds, t.actuation_id, a.display_code AS code, t.actor
FROM device_tests AS t
INNER JOIN spaces AS s ON s.id = t.space_id
INNER JOIN display_devices AS d ON d.id = t.display_device_id
LEFT JOIN sensor_devices AS n ON n.id = t.sensor_device_id
LEFT JOIN actuations AS a ON a.id = t.actuation_id
WHERE ($1::uuid IS NULL OR t.id = $1)
    AND ($2::uuid IS NULL OR t.sensor_device_id = $2 OR t.display_device_id = $2)
    AND ($3::text IS NULL OR s.code = $3)
ORDER BY t.started_at DESC LIMIT $4;

-- name: actuation
-- How far a light is.
SELECT id, status, downlink_error, created_at, transmitted_at, shown_at FROM actuations WHERE id = $1;

-- name: first_change
-- The first change of a space by its sensor since an instant.
SELECT new_state, "timestamp" AS at FROM state_changes
WHERE space_id = $1 AND "timestamp" >= $2 AND source = 'sensor_uplink' ORDER BY "timestamp", id LIMIT 1;

-- name: actuation_since
-- What a display was to show by its sensor since an instant.
SELECT id, status, downlink_error, created_at, transmitted_at, shown_at FROM actuations
WHERE display_device_id = $1 AND created_at >= $2 AND trigger_type = 'sensor_uplink' ORDER BY id LIMIT 1;

-- name: heard_since
-- How many uplinks of a sensor came since an instant.
SELECT count(*) FROM uplinks AS u INNER JOIN sensor_devices AS n ON n.dev_eui = u.dev_eui
WHERE n.id = $1 AND u.received_at >= $2;

-- name: pair
-- The devices of a live space.
SELECT id, code, sensor_device_id, display_device_id FROM spaces WHERE code = $1 AND deleted_at IS NULL;

-- name: radio
-- The newest uplinks of a device, at most $2.
SELECT f_cnt, rssi_dbm, snr_db, gateway_id, received_at FROM uplinks
WHERE dev_eui = $1 AND snr_db IS NOT NULL ORDER BY received_at DESC LIMIT $2;

-- name: needs
-- What the type of a device asks of the signal.
SELECT (t.capabilities ->> 'min_snr_db')::real AS snr_db, (t.capabilities ->> 'min_rssi_dbm')::real AS rssi_dbm
FROM device_types AS t
WHERE t.code = coalesce(
    (SELECT device_type FROM sensor_devices WHERE id = $1), (SELECT device_type FROM display_devices WHERE id = $1)
);

-- name: codec
-- How a display is spoken to, and what its states look like.
SELECT t.codec, coalesce((t.default_config ->> 'reports')::boolean, false) AS reports, d.display_codes
FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = $1;
