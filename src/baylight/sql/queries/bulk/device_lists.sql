-- name: registered
-- Return which devices of a list are registered, and in which role: as a display if in both.
SELECT dev_eui, 'sensor' AS role FROM sensor_devices WHERE dev_eui = ANY (:dev_euis::text [])
UNION ALL
SELECT dev_eui, 'display' FROM display_devices WHERE dev_eui = ANY (:dev_euis::text []);
