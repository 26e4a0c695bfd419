-- name: find_delivery
-- What is proven of an actuation.
SELECT id, status, downlink_error, created_at, transmitted_at, shown_at FROM actuations WHERE id = :id;

-- name: find_first_change
-- The first change of a space by its sensor since a time.
SELECT new_state, "timestamp" AS at FROM state_changes
WHERE space_id = :space_id AND "timestamp" >= :since AND source = 'sensor_uplink' ORDER BY "timestamp", id LIMIT 1;

-- name: find_first_delivery
-- What is proven of the first actuation of a display by its sensor since a time.
SELECT id, status, downlink_error, created_at, transmitted_at, shown_at FROM actuations
WHERE display_device_id = :display_id AND created_at >= :since AND trigger_type = 'sensor_uplink' ORDER BY id LIMIT 1;

-- name: count_uplinks
-- The number of uplinks of a sensor since a time.
SELECT count(*) FROM uplinks AS u INNER JOIN sensor_devices AS n ON n.dev_eui = u.dev_eui
WHERE n.id = :sensor_id AND u.received_at >= :since;
