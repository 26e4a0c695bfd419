-- name: quarantined
-- Values that could not be carried over, and why.
SELECT source_table AS "table", source_id AS id, field, value, reason, detail
FROM v2_migration.quarantine ORDER BY source_table, reason, source_id, field;

-- name: flagged
-- Displays with a code of V2's that differs from the catalogue's.
SELECT d.dev_eui, c.key AS state, c.value AS code, t.default_config -> 'display_codes' ->> c.key AS catalogue_code
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
CROSS JOIN LATERAL jsonb_each_text(d.display_codes) AS c
WHERE c.value IN ('ffa5006400') AND c.value <> t.default_config -> 'display_codes' ->> c.key
ORDER BY d.dev_eui, c.key;

-- name: fix
-- Give the displays of `flagged` the catalogue's code.
UPDATE display_devices AS d
SET display_codes = d.display_codes || f.right_codes
FROM (
    SELECT d.id, jsonb_object_agg(c.key, t.default_config -> 'display_codes' -> c.key) AS right_codes
    FROM display_devices AS d
    INNER JOIN device_types AS t ON t.code = d.device_type
    CROSS JOIN LATERAL jsonb_each_text(d.display_codes) AS c
    WHERE c.value IN ('ffa5006400') AND c.value <> t.default_config -> 'display_codes' ->> c.key
    GROUP BY d.id
) AS f
WHERE f.id = d.id;
