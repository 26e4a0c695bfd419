-- name: lock
-- Live spaces by id, locked in id order.
SELECT id, code, location_id, sensor_device_id AS sensor_id, display_device_id AS display_id, current_state AS state,
       state_reason AS reason, sensor_state, default_state, maintenance, recompute_at, unproven_reason,
       unproven_since, unproven_until, ctid::text AS ctid
FROM spaces
WHERE id = ANY(:ids::uuid[]) AND deleted_at IS NULL
ORDER BY id
FOR NO KEY UPDATE;

-- name: lock_of_devices
-- Live spaces that sensors (by id) or displays (by DevEUI) serve, locked in id order. Both lists are `array_literal`s.
SELECT id, code, location_id, sensor_device_id AS sensor_id, display_device_id AS display_id, current_state AS state,
       state_reason AS reason, sensor_state, default_state, maintenance, recompute_at, unproven_reason,
       unproven_since, unproven_until, ctid::text AS ctid
FROM spaces
WHERE (
    sensor_device_id = ANY(:sensor_ids::text::uuid[])
    OR display_device_id = ANY(ARRAY(SELECT id FROM display_devices WHERE dev_eui = ANY(:display_euis::text::text[])))
) AND deleted_at IS NULL
ORDER BY id
FOR NO KEY UPDATE;

-- name: lock_due
-- Spaces whose decision may have changed by time alone, locked. Skips spaces whose lock is held by others.
SELECT id FROM spaces
WHERE recompute_at <= :now AND deleted_at IS NULL
ORDER BY recompute_at
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED;

-- name: rules
-- Reservations, overrides and maintenance that apply to spaces, or to locations above them. :space_ids and :location_ids
-- (of the same spaces, in the same order) are `array_literal`s.
WITH asked AS (SELECT * FROM unnest(:space_ids::text::uuid[], :location_ids::text::uuid[]) AS a (space_id, location_id)),
above AS (
    SELECT a.space_id, node.id AS location_id, node.maintenance
    FROM asked AS a
    INNER JOIN locations AS l ON l.id = a.location_id
    INNER JOIN locations AS node ON node.id = ANY(l.path)
)
SELECT r.space_id, 'reservation' AS kind, r.id, NULL AS state, r.start_time AS from_at, r.end_time AS until_at
FROM reservations AS r
WHERE r.space_id = ANY(:space_ids::text::uuid[]) AND r.status = 'active' AND r.end_time > :now
UNION ALL
SELECT o.space_id, 'override', o.id, o.state, lower(o.valid), upper(o.valid)
FROM overrides AS o
WHERE o.space_id = ANY(:space_ids::text::uuid[]) AND coalesce(upper(o.valid) > :now, true)
UNION ALL
SELECT b.space_id, 'location_override', o.id, o.state, lower(o.valid), upper(o.valid)
FROM overrides AS o
INNER JOIN above AS b ON b.location_id = o.location_id
WHERE coalesce(upper(o.valid) > :now, true)
UNION ALL
SELECT DISTINCT b.space_id, 'maintenance', NULL::uuid, NULL, NULL::timestamptz, NULL::timestamptz
FROM above AS b
WHERE b.maintenance;

-- name: update
-- Writes decisions. A locked row keeps its ctid until this transaction changes it: the row is found without an index.
UPDATE spaces AS s
SET current_state = n.current_state,
    current_state_at = coalesce(n.current_state_at, s.current_state_at),
    state_reason = n.state_reason,
    sensor_state = n.sensor_state,
    sensor_state_at = CASE WHEN s.sensor_state IS DISTINCT FROM n.sensor_state THEN :now ELSE s.sensor_state_at END,
    recompute_at = n.recompute_at,
    unproven_reason = n.unproven_reason, unproven_since = n.unproven_since, unproven_until = n.unproven_until
FROM json_to_recordset(:rows::json) AS n (
    id uuid, ctid tid, current_state text, current_state_at timestamptz, state_reason text, sensor_state text,
    recompute_at timestamptz, unproven_reason text, unproven_since timestamptz, unproven_until timestamptz
)
WHERE s.ctid = n.ctid AND s.id = n.id;
