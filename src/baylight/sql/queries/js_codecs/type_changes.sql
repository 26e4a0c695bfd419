-- name: count
-- Number of devices of a type: those that are not decommissioned, and those that are.
SELECT
    count(*) FILTER (WHERE lifecycle_state <> 'decommissioned')::integer AS live,
    count(*) FILTER (WHERE lifecycle_state = 'decommissioned')::integer AS decommissioned
FROM (
    SELECT lifecycle_state FROM sensor_devices WHERE device_type = :code
    UNION ALL
    SELECT lifecycle_state FROM display_devices WHERE device_type = :code
) AS device;

-- name: update
-- Replaces what can change of a type.
UPDATE device_types
SET manufacturer = :manufacturer, model = :model, uplink_interval_s = :uplink_interval_s,
    silent_after_intervals = :silent_after_intervals, dev_eui_prefixes = :dev_eui_prefixes, enabled = :enabled,
    default_config = :default_config
WHERE code = :code;

-- name: delete
-- Deletes a type that no device refers to.
DELETE FROM device_types WHERE code = :code;

-- name: name_sensors
-- Gives maker and model of a type to its sensors. Locks their rows by id: before spaces, as the whole program does.
WITH locked AS (
    SELECT id FROM sensor_devices
    WHERE device_type = :code AND (manufacturer, device_model) IS DISTINCT FROM (:manufacturer, :model)
    ORDER BY id FOR NO KEY UPDATE
)

UPDATE sensor_devices AS d SET manufacturer = :manufacturer, device_model = :model FROM locked WHERE d.id = locked.id;

-- name: name_displays
-- Gives maker and model of a type to its displays. Locks their rows by id.
WITH locked AS (
    SELECT id FROM display_devices
    WHERE device_type = :code AND (manufacturer, device_model) IS DISTINCT FROM (:manufacturer, :model)
    ORDER BY id FOR NO KEY UPDATE
)

UPDATE display_devices AS d SET manufacturer = :manufacturer, device_model = :model FROM locked WHERE d.id = locked.id;

-- name: served
-- Spaces that devices of a type serve.
SELECT id FROM spaces
WHERE deleted_at IS NULL AND (
    sensor_device_id IN (SELECT d.id FROM sensor_devices AS d WHERE d.device_type = :code)
    OR display_device_id IN (SELECT d.id FROM display_devices AS d WHERE d.device_type = :code)
);

-- name: set_config
-- Gives the configuration of a type to its displays. All of them are decommissioned.
WITH locked AS (
    SELECT id FROM display_devices WHERE device_type = :code ORDER BY id FOR NO KEY UPDATE
)

UPDATE display_devices AS d
SET display_codes = :display_codes, alike_allowed = :alike_allowed, fport = :f_port,
    confirmed_downlinks = :confirmed_downlinks
FROM locked WHERE d.id = locked.id;
