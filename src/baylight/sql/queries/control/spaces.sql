-- name: lock_spaces
-- Live spaces by id, locked in id order; read by position. $1 ids.
SELECT id, code, location_id, sensor_device_id, display_device_id, current_state, state_reason, sensor_state,
       default_state, maintenance, recompute_at, ctid::text AS lies_at
FROM spaces
WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL
ORDER BY id
FOR NO KEY UPDATE;

-- name: lock_spaces_of_devices
-- Live spaces that given sensors or displays serve, locked in id order; read by position. $1 sensor ids, $2 display
-- ids, both `array_literal`.
SELECT id, code, location_id, sensor_device_id, display_device_id, current_state, state_reason, sensor_state,
       default_state, maintenance, recompute_at, ctid::text AS lies_at
FROM spaces
WHERE (sensor_device_id = ANY($1::text::uuid[]) OR display_device_id = ANY($2::text::uuid[])) AND deleted_at IS NULL
ORDER BY id
FOR NO KEY UPDATE;

-- name: due_spaces
-- Spaces whose decision time alone may have changed. $1 now, $2 most.
SELECT id FROM spaces
WHERE recompute_at <= $1 AND deleted_at IS NULL
ORDER BY recompute_at
LIMIT $2
FOR NO KEY UPDATE SKIP LOCKED;

-- name: sensors_of_spaces
-- What is known of the sensors. $1 sensor ids.
SELECT s.id, s.occupancy, s.occupancy_at, s.damaged, s.free_from,
       s.enabled AND s.lifecycle_state <> 'decommissioned' AS usable,
       t.uplink_interval_s * t.silent_after_intervals AS deadline_s
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE s.id = ANY($1::uuid[]);

-- name: rules_of_spaces
-- Reservations, overrides and maintenance that bear on spaces, those of locations above them included.
-- $1 space ids, $2 their location ids (same order), both `array_literal`, $3 now.
WITH asked AS (SELECT * FROM unnest($1::text::uuid[], $2::text::uuid[]) AS a (space_id, location_id)),
above AS (
    SELECT a.space_id, node.id AS location_id, node.maintenance
    FROM asked AS a
    INNER JOIN locations AS l ON l.id = a.location_id
    INNER JOIN locations AS node ON node.id = ANY(l.path)
)
SELECT r.space_id, 'reservation' AS kind, r.id, NULL AS state, r.start_time AS from_at, r.end_time AS until_at
FROM reservations AS r
WHERE r.space_id = ANY($1::text::uuid[]) AND r.status = 'active' AND r.end_time > $3
UNION ALL
SELECT o.space_id, 'override', o.id, o.state, lower(o.valid), upper(o.valid)
FROM overrides AS o
WHERE o.space_id = ANY($1::text::uuid[]) AND coalesce(upper(o.valid) > $3, true)
UNION ALL
SELECT b.space_id, 'location_override', o.id, o.state, lower(o.valid), upper(o.valid)
FROM overrides AS o
INNER JOIN above AS b ON b.location_id = o.location_id
WHERE coalesce(upper(o.valid) > $3, true)
UNION ALL
SELECT DISTINCT b.space_id, 'maintenance', NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz
FROM above AS b
WHERE b.maintenance;

-- name: update_spaces
-- Writes what was decided. $1 rows, $2 now. A locked row stays where it was locked, until this transaction changes it.
UPDATE spaces AS s
SET current_state = n.current_state,
    current_state_at = coalesce(n.current_state_at, s.current_state_at),
    state_reason = n.state_reason,
    sensor_state = n.sensor_state,
    sensor_state_at = CASE WHEN s.sensor_state IS DISTINCT FROM n.sensor_state THEN $2 ELSE s.sensor_state_at END,
    recompute_at = n.recompute_at
FROM json_to_recordset($1::json) AS n (
    id uuid, lies_at tid, current_state text, current_state_at timestamptz, state_reason text, sensor_state text,
    recompute_at timestamptz
)
WHERE s.ctid = n.lies_at AND s.id = n.id;
