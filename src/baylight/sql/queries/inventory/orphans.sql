-- name: list
-- Unregistered devices by DevEUI: one (:dev_eui), or a page of at most :limit after :after; ignored, not ignored, or both.
SELECT
    o.dev_eui, o.uplinks, o.joins, o.first_at, o.last_at, o.first_join_at, o.last_join_at, o.network_server,
    o.application_id, o.device_name, o.profile_name, o.dev_addr, o.gateway_id, o.rssi_dbm, o.snr_db, o.f_port, encode(o.data, 'hex') AS data, o.ignored
FROM orphans AS o
WHERE (:dev_eui::text IS NULL OR o.dev_eui = :dev_eui) AND (:after::text IS NULL OR o.dev_eui > :after)
    AND (:ignored::boolean IS NULL OR o.ignored = :ignored)
    AND NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = o.dev_eui)
    AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = o.dev_eui)
ORDER BY o.dev_eui
LIMIT :limit;

-- name: list_frames
-- Of each orphan the newest stored frames with data, at most :limit.
SELECT o.dev_eui, u.f_port, u.data
FROM orphans AS o
CROSS JOIN LATERAL (
    SELECT f_port, data FROM uplinks
    WHERE dev_eui = o.dev_eui AND received_at >= o.first_at AND data <> ''
    ORDER BY received_at DESC
    LIMIT :limit
) AS u
WHERE o.dev_eui = ANY(:dev_euis::text []);

-- name: lock
-- Locks an orphan until the transaction ends, so that only one person claims or ignores it.
SELECT FROM orphans WHERE dev_eui = :dev_eui FOR UPDATE;

-- name: set_ignored
-- Uplinks of an ignored device are counted and not stored.
UPDATE orphans SET ignored = :on WHERE dev_eui = :dev_eui;

-- name: adopt_sensor
-- Copies what is known of the radio to the new row in the registry.
UPDATE sensor_devices AS s
SET last_seen_at = CASE WHEN o.uplinks > 0 THEN o.last_at END, rssi_dbm = o.rssi_dbm, snr_db = o.snr_db, gateway_id = o.gateway_id,
    network_server = o.network_server, application_id = o.application_id
FROM orphans AS o
WHERE s.dev_eui = :dev_eui AND o.dev_eui = :dev_eui AND s.last_seen_at IS NULL;

-- name: adopt_display
-- Copies what is known of the radio to the new row in the registry.
UPDATE display_devices AS d
SET last_seen_at = CASE WHEN o.uplinks > 0 THEN o.last_at END, rssi_dbm = o.rssi_dbm, snr_db = o.snr_db, gateway_id = o.gateway_id,
    network_server = o.network_server, application_id = o.application_id
FROM orphans AS o
WHERE d.dev_eui = :dev_eui AND o.dev_eui = :dev_eui AND d.last_seen_at IS NULL;

-- name: delete
-- Deletes an orphan that is registered now.
DELETE FROM orphans WHERE dev_eui = :dev_eui;
