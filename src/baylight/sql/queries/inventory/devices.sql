-- name: find
-- A device of either registry by its DevEUI; two rows if it is in both.
SELECT 'sensor' AS role, id, dev_eui FROM sensor_devices WHERE dev_eui = :dev_eui
UNION ALL
SELECT 'display', id, dev_eui FROM display_devices WHERE dev_eui = :dev_eui;

-- name: sensors
-- Sensors by DevEUI: the one with the given DevEUI, or a page of at most `limit` after a DevEUI. `decommissioned`: with
-- those that are.
WITH chosen AS (
    SELECT * FROM sensor_devices WHERE dev_eui = :dev_eui
    UNION ALL
    SELECT * FROM (
        SELECT * FROM sensor_devices
        WHERE :dev_eui::text IS NULL AND dev_eui > coalesce(:after, '')
            AND (:decommissioned::boolean OR lifecycle_state <> 'decommissioned')
        ORDER BY dev_eui
        LIMIT :limit
    ) AS page
)

SELECT
    d.id, d.dev_eui, d.device_type, d.manufacturer, d.device_model AS model, d.enabled, d.lifecycle_state,
    d.last_seen_at, d.rssi_dbm, d.snr_db, d.gateway_id, d.battery_v, d.battery_pct, d.firmware, d.notes,
    d.network_server, d.application_id, d.frames_missing, served.spaces,
    d.occupancy, d.occupancy_at, d.damaged, d.mobile, d.network_log, d.network_log_at
FROM chosen AS d
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(s.code ORDER BY s.code), '{}') AS spaces
    FROM spaces AS s WHERE s.sensor_device_id = d.id AND s.deleted_at IS NULL
) AS served
ORDER BY d.dev_eui;

-- name: displays
-- Displays by DevEUI, as `sensors`.
WITH chosen AS (
    SELECT * FROM display_devices WHERE dev_eui = :dev_eui
    UNION ALL
    SELECT * FROM (
        SELECT * FROM display_devices
        WHERE :dev_eui::text IS NULL AND dev_eui > coalesce(:after, '')
            AND (:decommissioned::boolean OR lifecycle_state <> 'decommissioned')
        ORDER BY dev_eui
        LIMIT :limit
    ) AS page
)

SELECT
    d.id, d.dev_eui, d.device_type, d.manufacturer, d.device_model AS model, d.enabled, d.lifecycle_state,
    d.last_seen_at, d.rssi_dbm, d.snr_db, d.gateway_id, d.battery_v, d.battery_pct, d.firmware, d.notes,
    d.network_server, d.application_id, d.frames_missing, served.spaces,
    t.codec, d.display_codes, d.alike_allowed, d.fport AS f_port, d.confirmed_downlinks, d.shared, d.shared_rule,
    d.desired_state, d.desired_code, d.desired_at, d.reported_code, d.reported_at, d.sync_status, d.failures
FROM chosen AS d
INNER JOIN device_types AS t ON t.code = d.device_type
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(s.code ORDER BY s.code), '{}') AS spaces
    FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL
) AS served
ORDER BY d.dev_eui;

-- name: insert_sensor
-- Adds a sensor; returns its id, or no row if the DevEUI is registered.
INSERT INTO sensor_devices (
    dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, notes, mobile, application_id,
    network_server
)
VALUES (
    :dev_eui, :device_type, :model, :manufacturer, :codec, :capabilities, :notes, :mobile, :application_id,
    :network_server
)
ON CONFLICT (dev_eui) DO NOTHING RETURNING id;

-- name: insert_display
-- Adds a display; returns its id, or no row if the DevEUI is registered.
INSERT INTO display_devices (
    dev_eui, device_type, device_model, manufacturer, display_codes, alike_allowed, fport, confirmed_downlinks, notes, shared,
    application_id, shared_rule, network_server
)
VALUES (
    :dev_eui, :device_type, :model, :manufacturer, :display_codes, :alike_allowed, :f_port, :confirmed_downlinks, :notes, :shared,
    :application_id, :shared_rule, :network_server
)
ON CONFLICT (dev_eui) DO NOTHING RETURNING id;

-- name: lock_sensors
-- Sensors by their ids. Locks their rows by id: before spaces, as the whole program does.
SELECT dev_eui, enabled, lifecycle_state, mobile AS shared, id, device_type FROM sensor_devices
WHERE id = ANY(:ids::uuid[]) ORDER BY id FOR NO KEY UPDATE;

-- name: lock_displays
-- Displays by their ids. Locks their rows by id: after spaces, as the whole program does.
SELECT d.dev_eui, d.enabled, d.lifecycle_state, d.shared, d.id, d.device_type, d.alike_allowed,
    d.shared_rule, d.display_codes, t.codec,
    coalesce(t.default_config -> 'display_codes', '{}') AS type_codes
FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = ANY(:ids::uuid[]) ORDER BY d.id FOR NO KEY UPDATE OF d;

-- name: set_sensor_enabled
-- Enables or disables a sensor. Its earlier reading is forgotten: it counts again from its next reading on.
UPDATE sensor_devices SET enabled = :on, occupancy = NULL, occupancy_at = NULL WHERE id = :id;

-- name: set_display_enabled
-- Enables or disables a display. A disabled display receives no commands.
UPDATE display_devices SET enabled = :on WHERE id = :id;

-- name: set_sensor_lifecycle
-- Moves a sensor one step in its life. A trigger refuses a step that is not in the table.
UPDATE sensor_devices SET lifecycle_state = :state WHERE id = :id;

-- name: set_display_lifecycle
-- Moves a display one step in its life. A trigger refuses a step that is not in the table.
UPDATE display_devices SET lifecycle_state = :state WHERE id = :id;

-- name: sensor_address
-- Returns where a sensor is reached.
SELECT network_server, application_id FROM sensor_devices WHERE id = :id;

-- name: display_address
-- Returns where a display is reached.
SELECT network_server, application_id FROM display_devices WHERE id = :id;

-- name: sensor_network_server
-- Returns the network server of a registered sensor.
SELECT network_server FROM sensor_devices WHERE dev_eui = :dev_eui;

-- name: display_network_server
-- Returns the network server of a registered display.
SELECT network_server FROM display_devices WHERE dev_eui = :dev_eui;

-- name: set_sensor_address
-- Sets the network server and the application of a sensor; returns the former ones, or no row if they are the same.
UPDATE sensor_devices AS d SET network_server = :network_server, application_id = :application_id
FROM sensor_devices AS before
WHERE d.id = :id AND before.id = d.id
    AND (before.network_server, before.application_id) IS DISTINCT FROM (:network_server, :application_id)
RETURNING before.network_server, before.application_id;

-- name: set_display_address
-- Sets the network server and the application of a display; returns the former ones, or no row if they are the same.
UPDATE display_devices AS d SET network_server = :network_server, application_id = :application_id
FROM display_devices AS before
WHERE d.id = :id AND before.id = d.id
    AND (before.network_server, before.application_id) IS DISTINCT FROM (:network_server, :application_id)
RETURNING before.network_server, before.application_id;

-- name: set_display_codes
-- Replaces all codes of a display.
UPDATE display_devices SET display_codes = :codes, alike_allowed = :alike_allowed WHERE id = :id;

-- name: lock_spaces_of
-- Live spaces that a device serves. Locks their rows by id, before the device's own if it is a display.
SELECT id FROM spaces
WHERE (sensor_device_id = :id OR display_device_id = :id) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE;

-- name: set_sensor_notes
-- Changes no row if the sensor already has the notes.
UPDATE sensor_devices SET notes = :notes WHERE id = :id AND notes IS DISTINCT FROM :notes;

-- name: set_display_notes
-- Changes no row if the display already has the notes.
UPDATE display_devices SET notes = :notes WHERE id = :id AND notes IS DISTINCT FROM :notes;
