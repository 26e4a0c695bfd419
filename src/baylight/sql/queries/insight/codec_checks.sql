-- name: codes
-- The different codes of displays in use, each with at most three of its displays.
SELECT t.codec, d.display_codes AS codes, d.alike_allowed AS allowed,
    (array_agg(d.dev_eui::text ORDER BY d.dev_eui))[1:3] AS dev_euis, count(*) AS displays
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.lifecycle_state <> 'decommissioned'
GROUP BY t.codec, d.display_codes, d.alike_allowed
ORDER BY min(d.dev_eui);

-- name: active
-- The active versions of codecs that have a mapping.
SELECT name, version, mapping, examples FROM payload_codecs WHERE active AND mapping IS NOT NULL ORDER BY name;
