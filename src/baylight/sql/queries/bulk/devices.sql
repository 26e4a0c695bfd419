-- name: stage
-- Make the table for the rows of a file.
CREATE TEMP TABLE bulk_rows (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    role text, dev_eui text, device_type text, enabled boolean, lifecycle_state text, shared boolean, f_port integer,
    confirmed_downlinks boolean, display_codes jsonb, network_server text, application_id text, notes text
) ON COMMIT DROP;

-- name: stored
-- Return both registries in the form of a file.
SELECT id, 'sensor' AS role, dev_eui::text, device_type::text, enabled, lifecycle_state, mobile AS shared,
       NULL::integer AS f_port, NULL::boolean AS confirmed_downlinks, NULL::jsonb AS display_codes, network_server,
       application_id, notes
FROM sensor_devices
UNION ALL
SELECT id, 'display', dev_eui, device_type, enabled, lifecycle_state, shared, fport, confirmed_downlinks,
       display_codes, network_server, application_id, notes
FROM display_devices;

-- name: set_defaults
-- Fill the empty cells of new devices: the type by the longest prefix of the DevEUI, if only one type has it; the rest
-- from the type. A registered device keeps its address at The Things Stack if a row names its application alone.
WITH prefixes AS MATERIALIZED (
    SELECT t.category, t.code, lower(p.prefix) AS prefix, length(p.prefix) AS digits
    FROM device_types AS t CROSS JOIN LATERAL unnest(t.dev_eui_prefixes) AS p (prefix)
    WHERE t.enabled
),
fits AS (
    SELECT d.line, p.code, rank() OVER (PARTITION BY d.line ORDER BY p.digits DESC) AS best
    FROM bulk_rows AS d
    CROSS JOIN (SELECT DISTINCT digits FROM prefixes) AS n
    INNER JOIN prefixes AS p ON p.category = d.role AND p.digits = n.digits AND p.prefix = left(d.dev_eui, n.digits)
    WHERE d.before IS NULL AND d.device_type IS NULL
)
UPDATE bulk_rows AS n SET device_type = found.code
FROM (
    SELECT line, min(code) AS code FROM fits WHERE best = 1 GROUP BY line HAVING count(DISTINCT code) = 1
) AS found
WHERE found.line = n.line;
UPDATE bulk_rows AS n
SET lifecycle_state = coalesce(lifecycle_state, 'registered'), shared = coalesce(shared, false),
    enabled = coalesce(n.enabled, n.lifecycle_state IS DISTINCT FROM 'decommissioned'),
    network_server = coalesce(network_server, 'chirpstack'),
    f_port = CASE WHEN role = 'display' THEN coalesce(f_port, (t.default_config ->> 'f_port')::integer, 1) ELSE f_port END,
    confirmed_downlinks = CASE WHEN role = 'display' THEN coalesce(
        confirmed_downlinks, (t.default_config ->> 'confirmed_downlinks')::boolean, false
    ) ELSE confirmed_downlinks END,
    display_codes = CASE WHEN role = 'display' THEN coalesce(
        display_codes, t.default_config -> 'display_codes', '{}'
    ) ELSE display_codes END
FROM device_types AS t WHERE n.before IS NULL AND t.code = n.device_type;
UPDATE bulk_rows SET application_id = before ->> 'application_id'
WHERE network_server = 'tts' AND before ->> 'network_server' = 'tts'
    AND application_id = split_part(before ->> 'application_id', '/', 1);
UPDATE bulk_rows SET enabled = false
WHERE lifecycle_state = 'decommissioned' AND enabled AND 'enabled' = ANY (kept);

-- name: check
-- Find what is wrong beyond a single cell.
INSERT INTO bulk_errors
WITH served AS (
    SELECT n.line, count(s.id) AS spaces
    FROM bulk_rows AS n
    INNER JOIN spaces AS s
        ON s.deleted_at IS NULL AND CASE n.role WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END = n.id
    WHERE n.action = 'change' GROUP BY n.line
)
SELECT n.line, 'device_type', 'type_missing', 'its type does not follow from its DevEUI: name a device type'
FROM bulk_rows AS n WHERE n.device_type IS NULL
UNION ALL
SELECT n.line, 'device_type', 'unknown_device_type', format('the catalogue has no device type %L', n.device_type)
FROM bulk_rows AS n LEFT JOIN device_types AS t ON t.code = n.device_type
WHERE n.device_type IS NOT NULL AND t.code IS NULL
UNION ALL
SELECT n.line, 'device_type', 'wrong_category', format('%s is a %s, not a %s', t.code, t.category, n.role)
FROM bulk_rows AS n INNER JOIN device_types AS t ON t.code = n.device_type WHERE t.category <> n.role
UNION ALL
SELECT n.line, 'device_type', 'type_disabled', format('the device type %s is disabled', t.code)
FROM bulk_rows AS n INNER JOIN device_types AS t ON t.code = n.device_type WHERE NOT t.enabled AND n.before IS NULL
UNION ALL
SELECT n.line, 'device_type', 'registered_otherwise', format('it is registered as %s', n.before ->> 'device_type')
FROM bulk_rows AS n WHERE n.device_type <> n.before ->> 'device_type'
UNION ALL
SELECT n.line, c.name, 'not_for_sensor', 'only a display has this: leave the cell empty'
FROM bulk_rows AS n
CROSS JOIN LATERAL (
    VALUES ('f_port', n.f_port::text), ('confirmed_downlinks', n.confirmed_downlinks::text),
    ('display_codes', n.display_codes::text)
) AS c (name, value)
WHERE n.role = 'sensor' AND c.value IS NOT NULL
UNION ALL
SELECT n.line, 'application_id', 'bad_application_id', 'an application id of ChirpStack has no /'
FROM bulk_rows AS n WHERE n.network_server = 'chirpstack' AND strpos(n.application_id, '/') > 0
UNION ALL
SELECT n.line, 'application_id', 'address_without_device_id',
       format(
           'it is reached as %s of %s: give its new address%s',
           n.before ->> 'application_id', n.before ->> 'network_server',
           CASE WHEN n.network_server = 'tts' THEN ' as <application>/<device id>' ELSE '' END
       )
FROM bulk_rows AS n
WHERE (n.application_id IS NULL OR (n.network_server = 'tts' AND strpos(n.application_id, '/') = 0))
    AND (n.before ->> 'network_server' <> 'tts' OR strpos(n.before ->> 'application_id', '/') > 0)
    AND n.before ->> 'application_id' IS NOT NULL
UNION ALL
SELECT n.line, 'enabled', 'decommissioned', 'a decommissioned device cannot be enabled'
FROM bulk_rows AS n WHERE n.lifecycle_state = 'decommissioned' AND n.enabled
UNION ALL
SELECT n.line, 'lifecycle_state', 'device_in_use', 'it serves a space: unassign it first'
FROM bulk_rows AS n INNER JOIN served USING (line) WHERE n.lifecycle_state = 'decommissioned'
UNION ALL
SELECT n.line, 'shared', 'device_in_use', 'it serves a space: unassign it before this changes'
FROM bulk_rows AS n INNER JOIN served USING (line) WHERE n.shared <> (n.before ->> 'shared')::boolean;

-- name: lock
-- Lock the sensors that change, by id. Displays are locked after the spaces that they serve.
SELECT count(*) FROM (
    SELECT FROM sensor_devices WHERE id IN (SELECT id FROM bulk_rows WHERE role = 'sensor' AND action = 'change')
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: touch
-- Note the spaces that changed devices serve.
INSERT INTO bulk_touched
SELECT s.id FROM bulk_rows AS n INNER JOIN spaces AS s ON s.sensor_device_id = n.id AND s.deleted_at IS NULL
WHERE n.role = 'sensor' AND n.action = 'change'
UNION
SELECT s.id FROM bulk_rows AS n INNER JOIN spaces AS s ON s.display_device_id = n.id AND s.deleted_at IS NULL
WHERE n.role = 'display' AND n.action = 'change';

-- name: note_displays
-- Note the displays that change.
INSERT INTO bulk_displays
SELECT id FROM bulk_rows WHERE role = 'display' AND action = 'change';

-- name: apply
-- Write the new and the changed devices. A sensor that is enabled or disabled loses its last reading.
INSERT INTO sensor_devices (
    id, dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, enabled, lifecycle_state,
    mobile, network_server, application_id, notes
)
SELECT n.id, n.dev_eui, n.device_type, t.model, t.manufacturer, t.codec, t.capabilities, n.enabled, n.lifecycle_state,
       n.shared, n.network_server, n.application_id, n.notes
FROM bulk_rows AS n INNER JOIN device_types AS t ON t.code = n.device_type
WHERE n.role = 'sensor' AND n.action = 'add';
INSERT INTO display_devices (
    id, dev_eui, device_type, device_model, manufacturer, display_codes, alike_allowed, fport, confirmed_downlinks,
    enabled, lifecycle_state, shared, network_server, application_id, notes
)
SELECT n.id, n.dev_eui, n.device_type, t.model, t.manufacturer, n.display_codes,
       coalesce(
           t.default_config -> 'allow_alike' = 'true' AND t.default_config -> 'display_codes' = n.display_codes, false
       ), n.f_port, n.confirmed_downlinks, n.enabled, n.lifecycle_state, n.shared, n.network_server, n.application_id, n.notes
FROM bulk_rows AS n INNER JOIN device_types AS t ON t.code = n.device_type
WHERE n.role = 'display' AND n.action = 'add';
UPDATE sensor_devices AS d
SET occupancy = CASE WHEN d.enabled = n.enabled THEN d.occupancy END,
    occupancy_at = CASE WHEN d.enabled = n.enabled THEN d.occupancy_at END,
    enabled = n.enabled, lifecycle_state = n.lifecycle_state, mobile = n.shared, network_server = n.network_server,
    application_id = n.application_id, notes = n.notes
FROM bulk_rows AS n WHERE n.role = 'sensor' AND n.action = 'change' AND n.id = d.id;
UPDATE display_devices AS d
SET enabled = n.enabled, lifecycle_state = n.lifecycle_state, shared = n.shared,
    alike_allowed = d.alike_allowed AND d.display_codes = n.display_codes, display_codes = n.display_codes,
    fport = n.f_port, confirmed_downlinks = n.confirmed_downlinks, network_server = n.network_server,
    application_id = n.application_id, notes = n.notes
FROM bulk_rows AS n WHERE n.role = 'display' AND n.action = 'change' AND n.id = d.id;

-- name: display_codes
-- Return the codes that a file names, with the codec that must accept them. `of_type`: the codes of the device type.
-- `allowed`: the display has these codes already, or an operator has accepted at its type that they look alike.
SELECT t.codec, n.display_codes AS codes, coalesce(t.default_config -> 'display_codes', '{}') AS of_type,
       coalesce(d.display_codes = n.display_codes, false)
       OR coalesce(
           t.default_config -> 'allow_alike' = 'true' AND t.default_config -> 'display_codes' = n.display_codes, false
       ) AS allowed,
       array_agg(n.line ORDER BY n.line) AS lines
FROM bulk_rows AS n
INNER JOIN device_types AS t ON t.code = n.device_type
LEFT JOIN display_devices AS d ON d.id = n.id
WHERE n.role = 'display' AND NOT 'display_codes' = ANY (n.kept)
GROUP BY 1, 2, 3, 4;

-- name: set_codes
-- Store lights that are named by their colour as codes.
UPDATE bulk_rows SET display_codes = :codes WHERE line = ANY (:lines::integer []);

-- name: check_lifecycle
-- Find steps that the lifecycle does not allow. An allowed step goes from one of `before` to the same place in `after`.
INSERT INTO bulk_errors
SELECT n.line, 'lifecycle_state', 'lifecycle_step',
       format('it cannot go from %s to %s', n.before ->> 'lifecycle_state', n.lifecycle_state)
FROM bulk_rows AS n
WHERE n.lifecycle_state <> n.before ->> 'lifecycle_state'
    AND (n.before ->> 'lifecycle_state', n.lifecycle_state) NOT IN (
        SELECT s.before, s.after FROM unnest(:before::text [], :after::text []) AS s (before, after)
    );

-- name: analyze
-- Renew statistics after many rows, so that the planner does not use old ones.
ANALYZE bulk_touched, sensor_devices, display_devices;

-- name: doubtful
-- Return at most 20 new devices whose DevEUI a spreadsheet may have rounded: it keeps 15 of 16 digits.
SELECT line AS row, dev_eui AS cell,
       'has no letter and ends in 0: a spreadsheet rounds such a number; compare it with the label' AS reason
FROM bulk_rows
WHERE action = 'add' AND dev_eui ~ '^[0-9]{15}0$'
ORDER BY line
LIMIT 20;
