-- name: receptions
-- The newest uplinks of a device with their signal.
SELECT f_cnt, rssi_dbm, snr_db, gateway_id FROM uplinks
WHERE dev_eui = :dev_eui AND snr_db IS NOT NULL ORDER BY received_at DESC LIMIT :limit;

-- name: needs
-- The signal that the type of a device needs.
SELECT (t.capabilities ->> 'min_snr_db')::real AS snr_db, (t.capabilities ->> 'min_rssi_dbm')::real AS rssi_dbm
FROM device_types AS t
WHERE t.code = coalesce(
    (SELECT device_type FROM sensor_devices WHERE id = :device_id),
    (SELECT device_type FROM display_devices WHERE id = :device_id)
);
