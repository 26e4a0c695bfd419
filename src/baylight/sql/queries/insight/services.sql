-- name: displays_by_server
-- Number of usable displays of live spaces, by the network server that they are reached through.
SELECT d.network_server, count(*) AS displays FROM display_devices AS d
WHERE d.enabled AND d.lifecycle_state <> 'decommissioned'
    AND EXISTS (SELECT FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL)
GROUP BY d.network_server;

-- name: reported_displays
-- Displays whose uplinks the network server :network_server itself sent, and their applications: the newest :limit,
-- newest last.
SELECT n.dev_eui, n.application_id FROM (
    SELECT d.dev_eui, d.application_id, d.heard_network_at FROM display_devices AS d
    WHERE d.network_server = :network_server AND d.application_id IS NOT NULL AND d.heard_network_at IS NOT NULL
        AND d.lifecycle_state <> 'decommissioned'
    ORDER BY d.heard_network_at DESC LIMIT :limit
) AS n
ORDER BY n.heard_network_at;

-- name: sensors_not_received
-- Sensors with a reading that a network server, which was away from :since to :until, has not received since its return.
-- None if it has received any device in between, for then only its API was away. Its clock may differ by :margin.
SELECT n.dev_eui FROM sensor_devices AS n
WHERE n.network_server = :network_server AND n.occupancy IS NOT NULL
    AND (n.heard_network_at IS NULL OR n.heard_network_at < :until::timestamptz - :margin::interval)
    AND NOT EXISTS (
        SELECT FROM sensor_devices AS r
        WHERE r.network_server = :network_server
            AND r.heard_network_at > :since::timestamptz + :margin::interval
            AND r.heard_network_at < :until::timestamptz - :margin::interval
    )
    AND NOT EXISTS (
        SELECT FROM display_devices AS r
        WHERE r.network_server = :network_server
            AND r.heard_network_at > :since::timestamptz + :margin::interval
            AND r.heard_network_at < :until::timestamptz - :margin::interval
    )
ORDER BY n.dev_eui;
