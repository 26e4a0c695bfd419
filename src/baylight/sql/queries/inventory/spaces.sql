-- name: list
-- Live spaces by code: one ($1), or a page after code $2 of at most $6: of subtree $3, in state $4, of device $5.
-- Two branches, so that each has its index whatever the plan knows of the parameters.
WITH chosen AS (
    SELECT * FROM spaces WHERE code = $1 AND deleted_at IS NULL
    UNION ALL
    SELECT * FROM (
        SELECT s.* FROM spaces AS s
        WHERE $1::text IS NULL AND s.deleted_at IS NULL AND s.code > coalesce($2, '')
            AND ($3::uuid IS NULL OR s.location_id IN (SELECT l.id FROM locations AS l WHERE l.path @> ARRAY[$3]))
            AND ($4::text IS NULL OR s.current_state = $4)
            AND ($5::text IS NULL OR s.sensor_deveui = $5 OR s.display_deveui = $5)
        ORDER BY s.code
        LIMIT $6
    ) AS page
)

SELECT
    s.id, s.code, s.name, s.location_id, named.path AS location, s.gps_latitude, s.gps_longitude, s.metadata,
    s.current_state, s.current_state_at, s.state_reason, s.sensor_state, s.sensor_state_at,
    s.display_state, s.display_state_at, s.default_state, s.maintenance, s.recompute_at,
    s.sensor_deveui, s.display_deveui,
    d.desired_state, d.desired_code, d.reported_code, d.reported_at, d.sync_status
FROM chosen AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN display_devices AS d ON d.id = s.display_device_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
ORDER BY s.code;

-- name: insert
-- A new space without devices.
INSERT INTO spaces (code, name, location_id, default_state, gps_latitude, gps_longitude, metadata, current_state_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id;

-- name: lock
-- A live space by its code, until the end of the transaction.
SELECT id, code, sensor_device_id, display_device_id, sensor_deveui, display_deveui, maintenance, default_state
FROM spaces WHERE code = $1 AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: lock_sensors
-- The sensor that comes ($1 its DevEUI) and the one that goes, in the order in which everybody locks them.
SELECT id, dev_eui, enabled, lifecycle_state, mobile AS shared FROM sensor_devices
WHERE dev_eui = $1
    OR id = (SELECT s.sensor_device_id FROM spaces AS s WHERE s.code = $2 AND s.deleted_at IS NULL)
ORDER BY id FOR NO KEY UPDATE;

-- name: lock_displays
-- The display that comes ($1 its DevEUI) and the one that goes, in the order in which everybody locks them.
SELECT id, dev_eui, enabled, lifecycle_state, shared FROM display_devices
WHERE dev_eui = $1 OR id = $2 ORDER BY id FOR NO KEY UPDATE;

-- name: served
-- Live spaces that a device serves, by code.
SELECT id, code FROM spaces
WHERE (sensor_device_id = $1 OR display_device_id = $1) AND deleted_at IS NULL ORDER BY code;

-- name: set_sensor
-- The sensor of a space; what an earlier one said is not known any more.
UPDATE spaces SET sensor_device_id = $2, sensor_state = NULL, sensor_state_at = NULL WHERE id = $1;

-- name: set_display
-- The display of a space; what it shows is not known yet.
UPDATE spaces SET display_device_id = $2, display_state = NULL, display_state_at = NULL WHERE id = $1;

-- name: change
-- What it is called and where it is.
UPDATE spaces SET name = $2, location_id = $3, gps_latitude = $4, gps_longitude = $5 WHERE id = $1;

-- name: set_maintenance
-- Open or closed.
UPDATE spaces SET maintenance = $2 WHERE id = $1;

-- name: set_default_state
-- What it shows without a sensor.
UPDATE spaces SET default_state = $2 WHERE id = $1;

-- name: delete
-- Gone for everybody but history; its devices are free again.
UPDATE spaces
SET deleted_at = $2, sensor_device_id = NULL, display_device_id = NULL, recompute_at = NULL WHERE id = $1;

-- name: cancel_reservations
-- Those of a space that is deleted.
UPDATE reservations SET status = 'cancelled' WHERE space_id = $1 AND status = 'active' RETURNING id;

-- name: end_overrides
-- Those of a space that is deleted.
UPDATE overrides SET valid = tstzrange(lower(valid), $2), ended_by = $3
WHERE space_id = $1 AND valid @> $2::timestamptz AND lower(valid) < $2;
