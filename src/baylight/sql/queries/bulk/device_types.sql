-- name: stage
-- Make the table for the rows of a file.
CREATE TEMP TABLE bulk_rows (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    code text, category text, manufacturer text, model text, codec text, dev_eui_prefixes text,
    uplink_interval_s integer, silent_after_intervals integer, default_config jsonb, capabilities jsonb, enabled boolean
) ON COMMIT DROP;

-- name: stored
-- Return the whole catalogue in the form of a file.
SELECT NULL::uuid AS id, code::text, category, manufacturer::text, model::text, codec::text,
       nullif(array_to_string(dev_eui_prefixes, ' '), '') AS dev_eui_prefixes, uplink_interval_s,
       silent_after_intervals, default_config, capabilities, enabled
FROM device_types;

-- name: set_defaults
-- Fill the empty cells of new types.
UPDATE bulk_rows
SET silent_after_intervals = coalesce(silent_after_intervals, 3), default_config = coalesce(default_config, '{}'),
    capabilities = coalesce(capabilities, '{}'), enabled = coalesce(enabled, true)
WHERE before IS NULL;

-- name: check
-- Find what is wrong beyond a single cell.
INSERT INTO bulk_errors
SELECT n.line, c.name, 'missing', 'a new device type needs it'
FROM bulk_rows AS n
CROSS JOIN LATERAL (
    VALUES ('category', n.category), ('manufacturer', n.manufacturer), ('model', n.model), ('codec', n.codec),
    ('uplink_interval_s', n.uplink_interval_s::text)
) AS c (name, value)
WHERE c.value IS NULL
UNION ALL
SELECT n.line, 'code', 'shipped_type', 'this type ships with Baylight: only "enabled" can change'
FROM bulk_rows AS n INNER JOIN device_types AS t ON t.code = n.code
WHERE t.shipped AND n.action = 'change'
    AND n.before - 'enabled' <> to_jsonb(n) - '{line,kept,id,ref,before,action,enabled}'::text []
UNION ALL
SELECT n.line, 'codec', 'type_in_use', 'devices of this type are registered: add a new type for another codec'
FROM bulk_rows AS n
WHERE (n.category <> n.before ->> 'category' OR n.codec <> n.before ->> 'codec')
    AND (
        EXISTS (SELECT FROM sensor_devices AS d WHERE d.device_type = n.code)
        OR EXISTS (SELECT FROM display_devices AS d WHERE d.device_type = n.code)
    );

-- name: touch
-- Note the spaces whose sensors Baylight trusts for another time now.
INSERT INTO bulk_touched
SELECT s.id FROM bulk_rows AS n
INNER JOIN sensor_devices AS d ON d.device_type = n.code
INNER JOIN spaces AS s ON s.sensor_device_id = d.id AND s.deleted_at IS NULL
WHERE n.action = 'change';

-- name: apply
-- Write the new and the changed types.
INSERT INTO device_types (
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, enabled
)
SELECT code, category, manufacturer, model, codec, coalesce(string_to_array(dev_eui_prefixes, ' '), '{}'),
       uplink_interval_s, silent_after_intervals, default_config, capabilities, enabled
FROM bulk_rows WHERE action IS NOT NULL
ON CONFLICT (code) DO UPDATE
SET category = excluded.category, manufacturer = excluded.manufacturer, model = excluded.model,
    codec = excluded.codec, dev_eui_prefixes = excluded.dev_eui_prefixes,
    uplink_interval_s = excluded.uplink_interval_s, silent_after_intervals = excluded.silent_after_intervals,
    default_config = excluded.default_config, capabilities = excluded.capabilities, enabled = excluded.enabled;

-- name: changed_types
-- Return the types that a file adds or changes. `active`: a version of their JavaScript codec is active.
SELECT line, category, codec, default_config,
       EXISTS (SELECT FROM payload_codecs AS p WHERE p.active AND 'js:' || p.name = n.codec) AS active,
       uplink_interval_s::bigint * silent_after_intervals AS silent_after_s
FROM bulk_rows AS n
WHERE action IS NOT NULL AND category IS NOT NULL AND codec IS NOT NULL;

-- name: analyze
-- Renew statistics after many rows, so that the planner does not use old ones.
ANALYZE bulk_touched, device_types;
