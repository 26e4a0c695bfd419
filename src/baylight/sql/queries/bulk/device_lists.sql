-- name: registered
-- Return which devices of a list are registered, in which role (as a display if in both), their type and address.
SELECT dev_eui, 'sensor' AS role, device_type, network_server, application_id
FROM sensor_devices WHERE dev_eui = ANY (:dev_euis::text [])
UNION ALL
SELECT dev_eui, 'display', device_type, network_server, application_id
FROM display_devices WHERE dev_eui = ANY (:dev_euis::text []);

-- name: not_listed
-- Devices in use that are registered for the applications :applications of a network server, and are not in its list.
SELECT r.dev_eui FROM (
    SELECT dev_eui, network_server, application_id, lifecycle_state FROM sensor_devices
    UNION ALL
    SELECT dev_eui, network_server, application_id, lifecycle_state FROM display_devices
) AS r
WHERE r.network_server = :network_server AND r.application_id = ANY (:applications::text [])
    AND r.lifecycle_state <> 'decommissioned' AND r.dev_eui <> ALL (:listed::text [])
ORDER BY r.dev_eui;

-- name: known_applications
-- Ids of the applications of a network server that devices are registered for, or that events came from.
SELECT DISTINCT r.application_id FROM (
    SELECT network_server, application_id FROM sensor_devices
    UNION ALL
    SELECT network_server, application_id FROM display_devices
    UNION ALL
    SELECT network_server, application_id FROM orphans
) AS r
WHERE r.network_server = :network_server AND r.application_id IS NOT NULL
ORDER BY r.application_id LIMIT 100;
