-- name: list
-- Tests, the newest first: one, or at most :limit of a device (sensor or display), of a space (code), or of all,
-- started in [:from_at, :until_at).
SELECT t.id, t.kind, s.code AS space, n.dev_eui AS sensor_dev_eui, d.dev_eui AS display_dev_eui, t.started_at,
    t.deadline_at, t.within_s, t.ended_at, t.result, t.detail, t.seconds, t.actuation_id, a.display_code AS code, t.actor
FROM device_tests AS t
INNER JOIN spaces AS s ON s.id = t.space_id
INNER JOIN display_devices AS d ON d.id = t.display_device_id
LEFT JOIN sensor_devices AS n ON n.id = t.sensor_device_id
LEFT JOIN actuations AS a ON a.id = t.actuation_id
WHERE (:id::uuid IS NULL OR t.id = :id)
    AND (:device_id::uuid IS NULL OR t.sensor_device_id = :device_id OR t.display_device_id = :device_id)
    AND (:space::text IS NULL OR s.code = :space)
    AND (:from_at::timestamptz IS NULL OR t.started_at >= :from_at)
    AND (:until_at::timestamptz IS NULL OR t.started_at < :until_at)
ORDER BY t.started_at DESC LIMIT :limit;

-- name: find_pair
-- The devices of a live space.
SELECT id AS space_id, sensor_device_id, display_device_id FROM spaces WHERE code = :code AND deleted_at IS NULL;

-- name: insert
-- A test that starts.
INSERT INTO device_tests (
    id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s, actor
)
VALUES (
    :id, :kind, :space_id, :sensor_device_id, :display_device_id, :actuation_id, :started_at, :deadline_at, :within_s,
    :actor
);

-- name: lock
-- A running test. Locks its row until the transaction ends, so that one process stores the result.
SELECT id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s
FROM device_tests WHERE id = :id AND result = 'running' FOR UPDATE;

-- name: lock_all
-- All running tests, locked as by `lock`, except those that another process has locked.
SELECT id, kind, space_id, sensor_device_id, display_device_id, actuation_id, started_at, deadline_at, within_s
FROM device_tests WHERE result = 'running' ORDER BY started_at FOR UPDATE SKIP LOCKED;

-- name: end
-- Stores the result.
UPDATE device_tests
SET result = :result, detail = :detail, seconds = :seconds, ended_at = :ended_at, actuation_id = :actuation_id
WHERE id = :id;

-- name: activate_sensor
-- A sensor that passed and is not active yet becomes active.
UPDATE sensor_devices SET lifecycle_state = 'active'
WHERE id = :id AND lifecycle_state IN ('registered', 'installed', 'testing');

-- name: activate_display
-- A display that passed and is not active yet becomes active.
UPDATE display_devices SET lifecycle_state = 'active'
WHERE id = :id AND lifecycle_state IN ('registered', 'installed', 'testing');
