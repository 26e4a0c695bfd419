-- name: list_display_types
-- Display types that use a codec (`js:<name>`) and are enabled or have displays.
SELECT t.code, t.default_config FROM device_types AS t
WHERE t.category = 'display' AND t.codec = :codec
    AND (t.enabled OR EXISTS (SELECT FROM display_devices AS d WHERE d.device_type = t.code))
ORDER BY t.code;
