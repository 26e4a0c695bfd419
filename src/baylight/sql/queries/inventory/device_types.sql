-- name: upsert
-- A shipped type; a row of the operator's own under the same code stays as it is.
INSERT INTO device_types (
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, shipped
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, true)
ON CONFLICT (code) DO UPDATE
SET category = excluded.category, manufacturer = excluded.manufacturer, model = excluded.model,
    codec = excluded.codec, dev_eui_prefixes = excluded.dev_eui_prefixes,
    uplink_interval_s = excluded.uplink_interval_s, silent_after_intervals = excluded.silent_after_intervals,
    default_config = excluded.default_config, capabilities = excluded.capabilities
WHERE device_types.shipped
    AND (
        device_types.category, device_types.manufacturer, device_types.model, device_types.codec,
        device_types.dev_eui_prefixes, device_types.uplink_interval_s, device_types.silent_after_intervals,
        device_types.default_config, device_types.capabilities
    ) IS DISTINCT FROM (
        excluded.category, excluded.manufacturer, excluded.model, excluded.codec, excluded.dev_eui_prefixes,
        excluded.uplink_interval_s, excluded.silent_after_intervals, excluded.default_config, excluded.capabilities
    )
RETURNING code;

-- name: list
-- All types, or one ($1 code), or those of a category ($2).
SELECT
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, shipped, enabled
FROM device_types
WHERE ($1::text IS NULL OR code = $1) AND ($2::text IS NULL OR category = $2)
ORDER BY category, code;

-- name: by_prefix
-- Enabled types of a category whose DevEUI prefix fits, the longest prefix first.
SELECT t.code, length(prefix) AS fit
FROM device_types AS t CROSS JOIN LATERAL unnest(t.dev_eui_prefixes) AS prefix
WHERE t.category = $1 AND t.enabled AND starts_with($2, lower(prefix))
ORDER BY fit DESC, t.code;
