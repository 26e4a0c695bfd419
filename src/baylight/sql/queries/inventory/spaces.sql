-- name: list
-- Live spaces by code: the one with the given code, or a page of at most `limit` after a code, of a subtree of
-- locations, in a state, served by a device.
-- Two branches, so that each has its index whatever the plan knows of the parameters.
WITH chosen AS (
    SELECT * FROM spaces WHERE code = :code AND deleted_at IS NULL
    UNION ALL
    SELECT * FROM (
        SELECT s.* FROM spaces AS s
        WHERE :code::text IS NULL AND s.deleted_at IS NULL AND s.code > coalesce(:after, '')
            AND (
                :location_id::uuid IS NULL
                OR s.location_id IN (SELECT l.id FROM locations AS l WHERE l.path @> ARRAY[:location_id])
            )
            AND (:state::text IS NULL OR s.current_state = :state)
            AND (:dev_eui::text IS NULL OR s.sensor_deveui = :dev_eui OR s.display_deveui = :dev_eui)
        ORDER BY s.code
        LIMIT :limit
    ) AS page
)

SELECT
    s.id, s.code, s.name, s.location_id, named.path AS location, s.gps_latitude AS latitude,
    s.gps_longitude AS longitude, s.metadata,
    s.current_state AS state, s.current_state_at AS state_at, s.state_reason, s.sensor_state, s.sensor_state_at,
    s.display_state, s.display_state_at, s.default_state, s.maintenance, s.recompute_at,
    s.sensor_deveui AS sensor_dev_eui, s.display_deveui AS display_dev_eui,
    d.desired_state, d.desired_code, d.reported_code, d.reported_at, d.sync_status,
    CASE WHEN s.unproven_reason IS NOT NULL THEN
        json_build_object('reason', s.unproven_reason, 'since', s.unproven_since, 'until', s.unproven_until) END AS unproven
FROM chosen AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN display_devices AS d ON d.id = s.display_device_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
ORDER BY s.code;

-- name: find_id
-- The id of a code: of the live space, else of the space that was deleted last.
SELECT id FROM spaces WHERE code = :code ORDER BY deleted_at DESC NULLS FIRST LIMIT 1;

-- name: insert
-- A new space without devices; returns its id.
INSERT INTO spaces (code, name, location_id, default_state, gps_latitude, gps_longitude, metadata, current_state_at)
VALUES (:code, :name, :location_id, :default_state, :latitude, :longitude, :metadata, :now)
RETURNING id;

-- name: lock
-- A live space by its code. Locks its row until the end of the transaction.
SELECT
    id, code, sensor_device_id, display_device_id, sensor_deveui AS sensor_dev_eui, display_deveui AS display_dev_eui,
    maintenance, default_state
FROM spaces WHERE code = :code AND deleted_at IS NULL FOR NO KEY UPDATE;

-- name: change
-- Replaces name, location and position of a space.
UPDATE spaces
SET name = :name, location_id = :location_id, gps_latitude = :latitude, gps_longitude = :longitude WHERE id = :id;

-- name: set_maintenance
-- Closes or opens a space.
UPDATE spaces SET maintenance = :on WHERE id = :id;

-- name: set_default_state
-- Replaces the state that a space has without a sensor.
UPDATE spaces SET default_state = :state WHERE id = :id;

-- name: delete
-- Ends a space. Only its history remains readable, and its devices are free again.
UPDATE spaces
SET deleted_at = :now, sensor_device_id = NULL, display_device_id = NULL, recompute_at = NULL WHERE id = :id;

-- name: cancel_reservations
-- Cancels the active reservations of a space that is deleted; returns their ids.
UPDATE reservations SET status = 'cancelled' WHERE space_id = :id AND status = 'active' RETURNING id;

-- name: end_overrides
-- Ends the overrides of a space that is deleted.
UPDATE overrides SET valid = tstzrange(lower(valid), :now), ended_by = :actor
WHERE space_id = :id AND valid @> :now::timestamptz AND lower(valid) < :now;
