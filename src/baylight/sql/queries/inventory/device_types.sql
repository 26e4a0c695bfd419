-- name: upsert
-- Inserts or updates a shipped type. A type of the operator's own with the same code stays as it is.
INSERT INTO device_types (
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, shipped
)
VALUES (
    :code, :category, :manufacturer, :model, :codec, :dev_eui_prefixes, :uplink_interval_s, :silent_after_intervals,
    :default_config, :capabilities, true
)
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
    );

-- name: list
-- All types, or one (:code), or those of a category.
SELECT
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, shipped, enabled
FROM device_types
WHERE (:code::text IS NULL OR code = :code) AND (:category::text IS NULL OR category = :category)
ORDER BY category, code;

-- name: lock
-- A type. Locks its row before those of devices: no device of the type is registered until the transaction ends.
SELECT
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, shipped, enabled
FROM device_types WHERE code = :code FOR UPDATE;

-- name: hold
-- Keeps a type from being changed or deleted until the transaction ends, in which a device of it is registered.
SELECT FROM device_types WHERE code = :code FOR KEY SHARE;

-- name: match_prefix
-- Enabled types of a category with a prefix of a DevEUI, the longest prefix first.
SELECT t.code, length(prefix) AS length
FROM device_types AS t CROSS JOIN LATERAL unnest(t.dev_eui_prefixes) AS prefix
WHERE t.category = :category AND t.enabled AND starts_with(:dev_eui, lower(prefix))
ORDER BY length DESC, t.code;
