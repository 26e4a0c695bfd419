-- name: sensors_of
-- Ids of the sensors that serve the given live spaces. Locks nothing: `lock_spaces` shows whether it was still true.
SELECT sensor_device_id FROM spaces
WHERE (code = ANY(:codes::text[]) OR id = ANY(:space_ids::uuid[]))
    AND deleted_at IS NULL AND sensor_device_id IS NOT NULL;

-- name: lock_spaces
-- Live spaces by code and by id, and the spaces that the given devices serve. Locks their rows by id, after the sensors
-- and before the displays, as the whole program does.
SELECT
    id, code, sensor_device_id, display_device_id, sensor_deveui AS sensor_dev_eui, display_deveui AS display_dev_eui,
    maintenance, default_state
FROM spaces
WHERE (code = ANY(:codes::text[]) OR id = ANY(:space_ids::uuid[]) OR sensor_device_id = ANY(:device_ids::uuid[])
    OR display_device_id = ANY(:device_ids::uuid[])) AND deleted_at IS NULL
ORDER BY id FOR NO KEY UPDATE;

-- name: served_by_displays
-- Live spaces that displays serve. Locks nothing: a space cannot be locked any more once its display is.
SELECT
    id, code, sensor_device_id, display_device_id, sensor_deveui AS sensor_dev_eui, display_deveui AS display_dev_eui,
    maintenance, default_state
FROM spaces WHERE display_device_id = ANY(:display_ids::uuid[]) AND deleted_at IS NULL ORDER BY id;

-- name: set_sensor
-- Gives a space a sensor, or none. The statement of the earlier sensor no longer counts.
UPDATE spaces SET sensor_device_id = :device_id, sensor_state = NULL, sensor_state_at = NULL WHERE id = :space_id;

-- name: set_display
-- Gives a space a display, or none. What the new display shows is not known yet.
UPDATE spaces SET display_device_id = :device_id, display_state = NULL, display_state_at = NULL WHERE id = :space_id;

-- name: rows
-- Rows of one space and role that count after an instant, the earliest first.
SELECT space_id, device_id, lower(valid) AS from_at, upper(valid) AS until_at, shared, id
FROM device_assignments
WHERE space_id = :space_id AND role = :role AND superseded_at IS NULL AND coalesce(upper(valid) > :at, true)
ORDER BY lower(valid);

-- name: row_until
-- The row of a device that ended at the instant at which another device came.
SELECT space_id, device_id, lower(valid) AS from_at, upper(valid) AS until_at, shared, id
FROM device_assignments
WHERE space_id = :space_id AND role = :role AND superseded_at IS NULL AND upper(valid) = :at AND device_id = :device_id;

-- name: supersede
-- Marks rows that a correction replaces.
UPDATE device_assignments SET superseded_at = :now WHERE id = ANY(:ids::uuid[]);

-- name: insert
-- Adds one row. A piece of an earlier row keeps the reason and the actor of that row.
INSERT INTO device_assignments (
    space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor, recorded_at
)
SELECT :space_id, :role, CASE WHEN :role = 'sensor' THEN :device_id::uuid END,
    CASE WHEN :role = 'display' THEN :device_id::uuid END,
    tstzrange(:from_at, :until_at), :shared, coalesce(e.reason, :reason), coalesce(e.actor, :actor), :now
FROM (SELECT 1) AS one LEFT JOIN device_assignments AS e ON e.id = :piece_of::uuid;

-- name: keep_rows_ourselves
-- Until the end of the transaction the trigger of `spaces` leaves the rows of assignments to the caller.
SELECT set_config('baylight.assignments', 'written', true);

-- name: count_readings_since
-- Sets the reading of a sensor to the newest one since an instant, dated by the network's clock; to none if there is no
-- such reading. `since` null: no earlier reading counts.
UPDATE sensor_devices AS n
SET (occupancy, occupancy_at) = (
    SELECT u.occupancy, least(coalesce(u.network_at, u.received_at), u.received_at) FROM uplinks AS u
    WHERE u.dev_eui = n.dev_eui AND u.received_at >= :since::timestamptz AND u.occupancy IS NOT NULL
        AND u.outcome NOT IN ('stale', 'device_disabled', 'unknown_device')
    ORDER BY u.received_at DESC LIMIT 1
)
WHERE n.id = :sensor_id;

-- name: list_as_of
-- Assignments at an instant, by what is known today: of a space, of a device, or all.
SELECT s.code AS space, a.role, coalesce(n.dev_eui, d.dev_eui) AS dev_eui, lower(a.valid) AS from_at,
    upper(a.valid) AS until_at, a.reason, a.actor, a.recorded_at, a.superseded_at
FROM device_assignments AS a
INNER JOIN spaces AS s ON s.id = a.space_id
LEFT JOIN sensor_devices AS n ON n.id = a.sensor_device_id
LEFT JOIN display_devices AS d ON d.id = a.display_device_id
WHERE a.superseded_at IS NULL AND a.valid @> :at::timestamptz
    AND (:space_id::uuid IS NULL OR a.space_id = :space_id) AND (:device_id::uuid IS NULL OR a.device_id = :device_id)
ORDER BY s.code, a.role;

-- name: list
-- Assignments of a space or of a device, the newest first. `superseded`: with the rows that corrections replaced.
-- Only those that began in [:from_at, :until_at).
SELECT s.code AS space, a.role, coalesce(n.dev_eui, d.dev_eui) AS dev_eui, lower(a.valid) AS from_at,
    upper(a.valid) AS until_at, a.reason, a.actor, a.recorded_at, a.superseded_at
FROM device_assignments AS a
INNER JOIN spaces AS s ON s.id = a.space_id
LEFT JOIN sensor_devices AS n ON n.id = a.sensor_device_id
LEFT JOIN display_devices AS d ON d.id = a.display_device_id
WHERE (:space_id::uuid IS NULL OR a.space_id = :space_id) AND (:device_id::uuid IS NULL OR a.device_id = :device_id)
    AND (:superseded::boolean OR a.superseded_at IS NULL)
    AND (:from_at::timestamptz IS NULL OR lower(a.valid) >= :from_at)
    AND (:until_at::timestamptz IS NULL OR lower(a.valid) < :until_at)
ORDER BY lower(a.valid) DESC, a.recorded_at DESC, a.role;

-- name: find_space_at
-- The space that had a code at an instant: of the spaces that were not deleted yet, the one that is deleted first.
-- `created`: it existed then.
SELECT id, code, created_at <= :at AS created, current_state AS state FROM spaces
WHERE code = :code AND (deleted_at IS NULL OR deleted_at > :at)
ORDER BY deleted_at NULLS LAST LIMIT 1;
