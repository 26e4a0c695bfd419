-- name: sensors
-- Sensors by DevEUI: one ($1), or a page after $2 of at most $4; $3 false: without the decommissioned.
WITH chosen AS (
    SELECT * FROM sensor_devices WHERE dev_eui = $1
    UNION ALL
    SELECT * FROM (
        SELECT * FROM sensor_devices
        WHERE $1::text IS NULL AND dev_eui > coalesce($2, '') AND ($3::boolean OR lifecycle_state <> 'decommissioned')
        ORDER BY dev_eui
        LIMIT $4
    ) AS page
)

SELECT
    d.id, d.dev_eui, d.device_type, d.manufacturer, d.device_model AS model, d.enabled, d.lifecycle_state,
    d.last_seen_at, d.rssi_dbm, d.snr_db, d.gateway_id, d.battery_v, d.battery_pct, d.firmware, d.notes,
    d.network_server, d.application_id,
    d.occupancy, d.occupancy_at, d.damaged, d.mobile, served.spaces
FROM chosen AS d
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(s.code ORDER BY s.code), '{}') AS spaces
    FROM spaces AS s WHERE s.sensor_device_id = d.id AND s.deleted_at IS NULL
) AS served
ORDER BY d.dev_eui;

-- name: displays
-- Displays by DevEUI: one ($1), or a page after $2 of at most $4; $3 false: without the decommissioned.
WITH chosen AS (
    SELECT * FROM display_devices WHERE dev_eui = $1
    UNION ALL
    SELECT * FROM (
        SELECT * FROM display_devices
        WHERE $1::text IS NULL AND dev_eui > coalesce($2, '') AND ($3::boolean OR lifecycle_state <> 'decommissioned')
        ORDER BY dev_eui
        LIMIT $4
    ) AS page
)

SELECT
    d.id, d.dev_eui, d.device_type, d.manufacturer, d.device_model AS model, d.enabled, d.lifecycle_state,
    d.last_seen_at, d.rssi_dbm, d.snr_db, d.gateway_id, d.battery_v, d.battery_pct, d.firmware, d.notes,
    d.network_server, d.application_id,
    t.codec, d.display_codes, d.fport, d.confirmed_downlinks, d.shared, d.shared_rule, d.desired_state, d.desired_code, d.desired_at,
    d.reported_code, d.reported_at, d.sync_status, d.failures, served.spaces
FROM chosen AS d
INNER JOIN device_types AS t ON t.code = d.device_type
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(s.code ORDER BY s.code), '{}') AS spaces
    FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL
) AS served
ORDER BY d.dev_eui;

-- name: insert_sensor
-- Null if the DevEUI is registered.
INSERT INTO sensor_devices (
    dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, notes, mobile, application_id,
    network_server
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (dev_eui) DO NOTHING RETURNING id;

-- name: insert_display
-- Null if the DevEUI is registered.
INSERT INTO display_devices (
    dev_eui, device_type, device_model, manufacturer, display_codes, fport, confirmed_downlinks, notes, shared,
    application_id, shared_rule, network_server
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (dev_eui) DO NOTHING RETURNING id;

-- name: lock_sensor
-- A sensor by its DevEUI, until the end of the transaction.
SELECT id, dev_eui, device_type, enabled, lifecycle_state, mobile AS shared
FROM sensor_devices WHERE dev_eui = $1 FOR NO KEY UPDATE;

-- name: lock_display
-- A display by its DevEUI, until the end of the transaction.
SELECT d.id, d.dev_eui, d.device_type, d.enabled, d.lifecycle_state, d.shared, d.shared_rule, d.display_codes, t.codec,
       coalesce(t.default_config -> 'display_codes', '{}') AS of_type
FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.dev_eui = $1 FOR NO KEY UPDATE OF d;

-- name: lock_spaces_of
-- The live spaces that a device serves, in the order in which everybody locks them.
SELECT id FROM spaces
WHERE (sensor_device_id = $1 OR display_device_id = $1) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE;

-- name: set_sensor_enabled
-- What it said is forgotten: it counts again from its next reading.
UPDATE sensor_devices
SET enabled = $2, occupancy = NULL, occupancy_at = NULL WHERE id = $1;

-- name: set_display_enabled
-- A disabled display is sent nothing.
UPDATE display_devices SET enabled = $2 WHERE id = $1;

-- name: change_sensor
-- What an operator may say of it at any time.
UPDATE sensor_devices SET notes = $2, mobile = $3 WHERE id = $1;

-- name: change_display
-- What an operator may say of it at any time.
UPDATE display_devices SET notes = $2, fport = $3, confirmed_downlinks = $4 WHERE id = $1;

-- name: set_sensor_lifecycle
-- One step.
UPDATE sensor_devices SET lifecycle_state = $2 WHERE id = $1;

-- name: set_display_lifecycle
-- One step.
UPDATE display_devices SET lifecycle_state = $2 WHERE id = $1;

-- name: set_display_codes
-- All of them.
UPDATE display_devices SET display_codes = $2 WHERE id = $1;

-- name: forget_reading
-- What it said was said of another place.
UPDATE sensor_devices SET occupancy = NULL, occupancy_at = NULL WHERE id = $1;

-- name: set_shared
-- Whether it may serve several spaces, by which rule; the assignments in force are marked with it.
WITH marked AS (
    UPDATE device_assignments SET shared = $2
    WHERE display_device_id = $1 AND superseded_at IS NULL AND upper_inf(valid)
)

UPDATE display_devices SET shared = $2, shared_rule = $3 WHERE id = $1;

-- name: sensor_lifecycle
-- Where it is in its life.
SELECT lifecycle_state FROM sensor_devices WHERE id = $1;

-- name: display_lifecycle
-- Where it is in its life.
SELECT lifecycle_state FROM display_devices WHERE id = $1;

-- name: sensor_eui
-- By its id.
SELECT dev_eui FROM sensor_devices WHERE id = $1;
