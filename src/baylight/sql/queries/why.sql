-- name: spaces
-- Live spaces as the decision reads them, without locking: one ($1 code), or a page after $2 of at most $3.
SELECT
    id, code, location_id, sensor_device_id, display_device_id, current_state, state_reason, sensor_state,
    default_state, maintenance, recompute_at
FROM spaces
WHERE deleted_at IS NULL AND ($1::text IS NULL OR code = $1) AND ($2::text IS NULL OR code > $2)
ORDER BY code
LIMIT $3;

-- name: uplink
-- The newest uplink of a device that it was believed in ($2 true: with occupancy), or the newest of all.
SELECT
    dev_eui, received_at, observed_at, f_cnt, f_port, encode(data, 'hex') AS data, reading, occupancy, outcome, error,
    rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = $1
    AND (NOT $2::boolean OR (occupancy IS NOT NULL AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')))
ORDER BY received_at DESC
LIMIT 1;

-- name: change
-- The last change of a space's state.
SELECT
    "timestamp" AS at, previous_state, new_state, source AS trigger_type, trigger_source, reason, uplink_observed_at,
    considered
FROM state_changes WHERE space_id = $1 ORDER BY "timestamp" DESC, id DESC LIMIT 1;

-- name: actuations
-- The newest actuations of a space.
SELECT
    a.id, a.created_at, a.trigger_type, a.trigger_source, a.previous_state, a.new_state, a.display_deveui AS dev_eui,
    a.display_code, a.fport AS f_port, a.status, a.downlink_error AS error, a.retry_count, a.sent_at,
    a.transmitted_at, a.confirmed_at, a.shown_at, t.codec
FROM actuations AS a
LEFT JOIN display_devices AS d ON d.id = a.display_device_id
LEFT JOIN device_types AS t ON t.code = d.device_type
WHERE a.space_id = $1
ORDER BY a.created_at DESC, a.id DESC
LIMIT $2;

-- name: steps
-- Every step of actuations, in the order in which they happened.
SELECT actuation_id, at, kind, attempt, downlink_queue_id AS queue_id, gateway_id, detail
FROM actuation_events WHERE actuation_id = ANY($1::uuid []) ORDER BY at, id;

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
