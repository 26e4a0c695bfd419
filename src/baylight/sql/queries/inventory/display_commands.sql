-- name: find_codec
-- The codec of a display's type, and the display's codes.
SELECT t.codec, coalesce((t.default_config ->> 'reports')::boolean, false) AS reports, d.display_codes
FROM display_devices AS d INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = :display_id;
