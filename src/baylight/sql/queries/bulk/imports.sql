-- name: begin
-- Imports go one after the other.
SELECT pg_advisory_xact_lock(hashtext('baylight.bulk'));

-- name: common
-- What every import needs beside its rows. `released`: display that the space gave up.
CREATE TEMP TABLE bulk_errors (line integer, "column" text, code text, message text) ON COMMIT DROP;
CREATE TEMP TABLE bulk_touched (id uuid PRIMARY KEY, released uuid) ON COMMIT DROP;

-- name: stage_locations
-- Rows of a file as they were read. `ref`: the location above.
CREATE TEMP TABLE bulk_locations (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    path text, kind text, timezone text, maintenance boolean, metadata jsonb
) ON COMMIT DROP;

-- name: stage_spaces
-- `ref`: the location's id.
CREATE TEMP TABLE bulk_spaces (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    code text, name text, location text, latitude numeric, longitude numeric, default_state text,
    maintenance boolean, metadata jsonb
) ON COMMIT DROP;

-- name: stage_device_types
-- Rows of a file as they were read.
CREATE TEMP TABLE bulk_device_types (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    code text, category text, manufacturer text, model text, codec text, dev_eui_prefixes text,
    uplink_interval_s integer, silent_after_intervals integer, default_config jsonb, capabilities jsonb, enabled boolean
) ON COMMIT DROP;

-- name: stage_devices
-- Rows of a file as they were read.
CREATE TEMP TABLE bulk_devices (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    role text, dev_eui text, device_type text, enabled boolean, lifecycle_state text, shared boolean, fport integer,
    confirmed_downlinks boolean, display_codes jsonb, network_server text, application_id text, notes text
) ON COMMIT DROP;

-- name: stage_assignments
-- Rows of a file as they were read.
CREATE TEMP TABLE bulk_assignments (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    space text, sensor_deveui text, display_deveui text
) ON COMMIT DROP;

-- name: rows_locations
-- Everything that is stored, as a file has it.
SELECT l.id, named.path, l.kind, l.timezone, l.maintenance, l.metadata
FROM locations AS l
CROSS JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named;

-- name: rows_spaces
-- Live spaces.
SELECT s.id, s.code::text, s.name::text, l.path AS location, s.gps_latitude AS latitude, s.gps_longitude AS longitude,
       s.default_state::text, s.maintenance, s.metadata
FROM spaces AS s LEFT JOIN ({locations}) AS l ON l.id = s.location_id
WHERE s.deleted_at IS NULL;

-- name: rows_device_types
-- The whole catalogue.
SELECT NULL::uuid AS id, code::text, category, manufacturer::text, model::text, codec::text,
       nullif(array_to_string(dev_eui_prefixes, ' '), '') AS dev_eui_prefixes, uplink_interval_s,
       silent_after_intervals, default_config, capabilities, enabled
FROM device_types;

-- name: rows_devices
-- Both registries.
SELECT id, 'sensor' AS role, dev_eui::text, device_type::text, enabled, lifecycle_state, mobile AS shared,
       NULL::integer AS fport, NULL::boolean AS confirmed_downlinks, NULL::jsonb AS display_codes, network_server,
       application_id, notes
FROM sensor_devices
UNION ALL
SELECT id, 'display', dev_eui, device_type, enabled, lifecycle_state, shared, fport, confirmed_downlinks,
       display_codes, network_server, application_id, notes
FROM display_devices;

-- name: rows_assignments
-- The devices that serve live spaces now.
SELECT id, code::text AS space, sensor_deveui::text, display_deveui::text FROM spaces WHERE deleted_at IS NULL;

-- name: twice
-- Rows that speak of the same object as an earlier one.
INSERT INTO bulk_errors
SELECT line, {first_key}, 'row_twice', format('row %s speaks of the same', earlier)
FROM (SELECT line, min(line) OVER (PARTITION BY {key}) AS earlier FROM {table}) AS n
WHERE line > earlier;

-- name: resolve
-- An empty cell of an object that is there: as it is.
UPDATE {table} AS n SET id = o.id, before = to_jsonb(o) - 'id', {set} FROM ({rows}) AS o WHERE {same};

-- name: compare
-- What each row does.
UPDATE {table} AS n
SET action = CASE WHEN before IS NULL THEN 'add' ELSE 'change' END, id = coalesce(id, gen_random_uuid())
WHERE before IS DISTINCT FROM to_jsonb(n) - '{line,kept,id,ref,before,action}'::text [];

-- name: default_locations
-- What is not told of a new one.
UPDATE bulk_locations SET maintenance = coalesce(maintenance, false), metadata = coalesce(metadata, '{}')
WHERE before IS NULL;

-- name: default_spaces
-- What is not told of a new one, and the id of the location.
UPDATE bulk_spaces
SET name = coalesce(name, code), default_state = coalesce(default_state, 'UNKNOWN'),
    maintenance = coalesce(maintenance, false)
WHERE before IS NULL;
UPDATE bulk_spaces AS n SET ref = l.id FROM ({locations}) AS l WHERE l.path = n.location;

-- name: default_device_types
-- What is not told of a new one.
UPDATE bulk_device_types
SET silent_after_intervals = coalesce(silent_after_intervals, 3), default_config = coalesce(default_config, '{}'),
    capabilities = coalesce(capabilities, '{}'), enabled = coalesce(enabled, true)
WHERE before IS NULL;

-- name: default_devices
-- What is not told of a new one: its type from the longest prefix if only one type has it, the rest from the type.
WITH prefixes AS MATERIALIZED (
    SELECT t.category, t.code, lower(p.prefix) AS prefix, length(p.prefix) AS digits
    FROM device_types AS t CROSS JOIN LATERAL unnest(t.dev_eui_prefixes) AS p (prefix)
    WHERE t.enabled
),
fits AS (
    SELECT d.line, p.code, rank() OVER (PARTITION BY d.line ORDER BY p.digits DESC) AS best
    FROM bulk_devices AS d
    CROSS JOIN (SELECT DISTINCT digits FROM prefixes) AS n
    INNER JOIN prefixes AS p ON p.category = d.role AND p.digits = n.digits AND p.prefix = left(d.dev_eui, n.digits)
    WHERE d.before IS NULL AND d.device_type IS NULL
)
UPDATE bulk_devices AS n SET device_type = told.code
FROM (
    SELECT line, min(code) AS code FROM fits WHERE best = 1 GROUP BY line HAVING count(DISTINCT code) = 1
) AS told
WHERE told.line = n.line;
UPDATE bulk_devices AS n
SET lifecycle_state = coalesce(lifecycle_state, 'registered'), shared = coalesce(shared, false),
    enabled = coalesce(n.enabled, n.lifecycle_state IS DISTINCT FROM 'decommissioned'),
    network_server = coalesce(network_server, 'chirpstack'),
    fport = CASE WHEN role = 'display' THEN coalesce(fport, (t.default_config ->> 'f_port')::integer, 1) ELSE fport END,
    confirmed_downlinks = CASE WHEN role = 'display' THEN coalesce(
        confirmed_downlinks, (t.default_config ->> 'confirmed_downlinks')::boolean, false
    ) ELSE confirmed_downlinks END,
    display_codes = CASE WHEN role = 'display' THEN coalesce(
        display_codes, t.default_config -> 'display_codes', '{}'
    ) ELSE display_codes END
FROM device_types AS t WHERE n.before IS NULL AND t.code = n.device_type;
UPDATE bulk_devices SET enabled = false
WHERE lifecycle_state = 'decommissioned' AND enabled AND 'enabled' = ANY (kept);

-- name: default_assignments
-- Nothing is new.
SELECT;

-- name: display_codes
-- Codes that a file names, with the driver that must understand them.
SELECT t.codec, n.display_codes AS codes, coalesce(t.default_config -> 'display_codes', '{}') AS of_type,
       array_agg(n.line ORDER BY n.line) AS lines
FROM bulk_devices AS n INNER JOIN device_types AS t ON t.code = n.device_type
WHERE n.role = 'display' AND NOT 'display_codes' = ANY (n.kept)
GROUP BY 1, 2, 3;

-- name: set_codes
-- Colours are kept as codes.
UPDATE bulk_devices SET display_codes = $2 WHERE line = ANY ($1::integer []);

-- name: codes_error
-- Codes that their display does not understand.
INSERT INTO bulk_errors SELECT unnest($1::integer []), 'display_codes', 'bad_display_code', $2;

-- name: changed_types
-- Types that a file adds or changes. `active`: a version of their JavaScript codec is.
SELECT line, category, codec, default_config,
       EXISTS (SELECT FROM payload_codecs AS p WHERE p.active AND 'js:' || p.name = n.codec) AS active
FROM bulk_device_types AS n
WHERE action IS NOT NULL AND category IS NOT NULL AND codec IS NOT NULL;

-- name: add_error
-- One.
INSERT INTO bulk_errors VALUES ($1, $2, $3, $4);

-- name: check_locations
-- Everything wrong that one row alone does not tell.
UPDATE bulk_locations AS n SET ref = above.id
FROM (
    SELECT path, id FROM bulk_locations WHERE action = 'add'
    UNION ALL
    SELECT path, id FROM ({locations}) AS stored
) AS above
WHERE n.action = 'add' AND above.path = regexp_replace(n.path, '/[^/]*$', '') AND n.path LIKE '%/%';
INSERT INTO bulk_errors
SELECT line, 'path', 'unknown_location', format('nothing lies above %L: name it in a row, too', path)
FROM bulk_locations WHERE action = 'add' AND ref IS NULL AND path LIKE '%/%'
UNION ALL
SELECT line, 'kind', 'missing', 'a new location needs a kind' FROM bulk_locations WHERE kind IS NULL
UNION ALL
SELECT line, 'kind', 'kind_differs', format('it is a %s, and stays one', before ->> 'kind')
FROM bulk_locations WHERE kind <> before ->> 'kind'
UNION ALL
SELECT line, 'timezone', 'timezone_of_site', 'only a site has a time zone'
FROM bulk_locations WHERE timezone IS NOT NULL AND kind <> 'site';

-- name: check_spaces
-- Everything wrong that one row alone does not tell.
INSERT INTO bulk_errors
SELECT line, 'location', 'unknown_location', format('there is no location %L: import locations first', location)
FROM bulk_spaces WHERE location IS NOT NULL AND ref IS NULL
UNION ALL
SELECT line, 'latitude', 'bad_position', 'latitude and longitude go together'
FROM bulk_spaces WHERE (latitude IS NULL) <> (longitude IS NULL);

-- name: check_device_types
-- Everything wrong that one row alone does not tell.
INSERT INTO bulk_errors
SELECT n.line, c.name, 'missing', 'a new device type needs it'
FROM bulk_device_types AS n
CROSS JOIN LATERAL (
    VALUES ('category', n.category), ('manufacturer', n.manufacturer), ('model', n.model), ('codec', n.codec),
    ('uplink_interval_s', n.uplink_interval_s::text)
) AS c (name, value)
WHERE c.value IS NULL
UNION ALL
SELECT n.line, 'code', 'shipped_type', 'this type ships with Baylight: only "enabled" can be changed'
FROM bulk_device_types AS n INNER JOIN device_types AS t ON t.code = n.code
WHERE t.shipped AND n.action = 'change'
    AND n.before - 'enabled' <> to_jsonb(n) - '{line,kept,id,ref,before,action,enabled}'::text []
UNION ALL
SELECT n.line, 'codec', 'type_in_use', 'devices of this type are registered: make a new type for another codec'
FROM bulk_device_types AS n
WHERE (n.category <> n.before ->> 'category' OR n.codec <> n.before ->> 'codec')
    AND (
        EXISTS (SELECT FROM sensor_devices AS d WHERE d.device_type = n.code)
        OR EXISTS (SELECT FROM display_devices AS d WHERE d.device_type = n.code)
    );

-- name: check_devices
-- Everything wrong that one row alone does not tell. $1 from, $2 to: the steps of the lifecycle.
INSERT INTO bulk_errors
WITH served AS (
    SELECT n.line, count(s.id) AS spaces
    FROM bulk_devices AS n
    INNER JOIN spaces AS s
        ON s.deleted_at IS NULL AND CASE n.role WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END = n.id
    WHERE n.action = 'change' GROUP BY n.line
)
SELECT n.line, 'device_type', 'type_missing', 'its DevEUI does not tell the type: name one of the catalogue'
FROM bulk_devices AS n WHERE n.device_type IS NULL
UNION ALL
SELECT n.line, 'device_type', 'unknown_device_type', format('the catalogue has no device type %L', n.device_type)
FROM bulk_devices AS n LEFT JOIN device_types AS t ON t.code = n.device_type
WHERE n.device_type IS NOT NULL AND t.code IS NULL
UNION ALL
SELECT n.line, 'device_type', 'wrong_category', format('%s is a %s, not a %s', t.code, t.category, n.role)
FROM bulk_devices AS n INNER JOIN device_types AS t ON t.code = n.device_type WHERE t.category <> n.role
UNION ALL
SELECT n.line, 'device_type', 'type_disabled', format('the device type %s is disabled', t.code)
FROM bulk_devices AS n INNER JOIN device_types AS t ON t.code = n.device_type WHERE NOT t.enabled AND n.before IS NULL
UNION ALL
SELECT n.line, 'device_type', 'registered_otherwise', format('it is registered as %s', n.before ->> 'device_type')
FROM bulk_devices AS n WHERE n.device_type <> n.before ->> 'device_type'
UNION ALL
SELECT n.line, c.name, 'not_for_sensor', 'a sensor has none: leave the cell empty'
FROM bulk_devices AS n
CROSS JOIN LATERAL (
    VALUES ('fport', n.fport::text), ('confirmed_downlinks', n.confirmed_downlinks::text),
    ('display_codes', n.display_codes::text)
) AS c (name, value)
WHERE n.role = 'sensor' AND c.value IS NOT NULL
UNION ALL
SELECT n.line, 'enabled', 'decommissioned', 'a decommissioned device is not enabled'
FROM bulk_devices AS n WHERE n.lifecycle_state = 'decommissioned' AND n.enabled
UNION ALL
SELECT n.line, 'lifecycle_state', 'lifecycle_step',
       format('it cannot go from %s to %s', n.before ->> 'lifecycle_state', n.lifecycle_state)
FROM bulk_devices AS n
WHERE n.lifecycle_state <> n.before ->> 'lifecycle_state'
    AND (n.before ->> 'lifecycle_state', n.lifecycle_state) NOT IN (SELECT * FROM unnest($1::text [], $2::text []))
UNION ALL
SELECT n.line, 'lifecycle_state', 'device_in_use', 'it serves a space: unassign it first'
FROM bulk_devices AS n INNER JOIN served USING (line) WHERE n.lifecycle_state = 'decommissioned'
UNION ALL
SELECT n.line, 'shared', 'device_in_use', 'it serves a space: unassign it before this changes'
FROM bulk_devices AS n INNER JOIN served USING (line) WHERE n.shared <> (n.before ->> 'shared')::boolean;

-- name: check_assignments
-- Everything wrong that one row alone does not tell. A device that is not shared serves one space after the import.
INSERT INTO bulk_errors
WITH wanted AS (
    SELECT n.line, n.id AS space_id, n.action, c.role, c.dev_eui, c.before
    FROM bulk_assignments AS n
    CROSS JOIN LATERAL (
        VALUES ('sensor', n.sensor_deveui, n.before ->> 'sensor_deveui'),
        ('display', n.display_deveui, n.before ->> 'display_deveui')
    ) AS c (role, dev_eui, before)
    WHERE c.dev_eui IS NOT NULL
),
devices AS (
    SELECT 'sensor' AS role, dev_eui, enabled, lifecycle_state, mobile AS shared FROM sensor_devices
    UNION ALL
    SELECT 'display', dev_eui, enabled, lifecycle_state, shared FROM display_devices
),
coming AS (
    SELECT w.*, d.enabled AND d.lifecycle_state <> 'decommissioned' AS usable, d.shared, d.dev_eui IS NULL AS unknown
    FROM wanted AS w LEFT JOIN devices AS d ON d.role = w.role AND d.dev_eui = w.dev_eui
    WHERE w.dev_eui IS DISTINCT FROM w.before
),
after AS (
    SELECT role, dev_eui, space_id FROM wanted
    UNION
    SELECT c.role, c.dev_eui, s.id
    FROM spaces AS s
    CROSS JOIN LATERAL (VALUES ('sensor', s.sensor_deveui), ('display', s.display_deveui)) AS c (role, dev_eui)
    WHERE s.deleted_at IS NULL AND c.dev_eui IS NOT NULL AND s.id NOT IN (SELECT id FROM bulk_assignments WHERE id IS NOT NULL)
),
several AS (SELECT role, dev_eui FROM after GROUP BY role, dev_eui HAVING count(*) > 1)
SELECT line, 'space', 'unknown_space', format('there is no space %L: import spaces first', space)
FROM bulk_assignments WHERE before IS NULL
UNION ALL
SELECT line, role || '_deveui', 'unknown_' || role, format('no %s %s is registered', role, dev_eui)
FROM coming WHERE unknown
UNION ALL
SELECT line, role || '_deveui', 'device_disabled', format('%s %s is disabled or decommissioned', role, dev_eui)
FROM coming WHERE NOT usable
UNION ALL
SELECT c.line, c.role || '_deveui', 'device_in_use', format('%s %s would serve another space, too', c.role, c.dev_eui)
FROM coming AS c INNER JOIN several AS s ON s.role = c.role AND s.dev_eui = c.dev_eui WHERE NOT c.shared;

-- name: counts
-- What the import does.
SELECT count(*) AS rows, count(*) FILTER (WHERE action = 'add') AS added,
       count(*) FILTER (WHERE action = 'change') AS changed
FROM {table};

-- name: errors_by_code
-- How many of each.
SELECT code, count(*) AS times FROM bulk_errors GROUP BY code ORDER BY code;

-- name: first_errors
-- The first of them.
SELECT line AS row, "column", code, message FROM bulk_errors ORDER BY line, "column", code LIMIT $1;

-- name: lock_locations
-- Nobody else writes what this import writes: locked in the order that the whole program keeps.
SELECT count(*) FROM (
    SELECT FROM locations WHERE id IN (SELECT id FROM bulk_locations WHERE action = 'change')
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: lock_spaces
-- See lock_locations.
SELECT;

-- name: lock_device_types
-- See lock_locations.
SELECT;

-- name: lock_devices
-- See lock_locations. Displays are locked after the spaces that they serve.
SELECT count(*) FROM (
    SELECT FROM sensor_devices WHERE id IN (SELECT id FROM bulk_devices WHERE role = 'sensor' AND action = 'change')
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: lock_assignments
-- See lock_locations.
SELECT count(*) FROM (
    SELECT FROM sensor_devices
    WHERE dev_eui IN (
        SELECT sensor_deveui FROM bulk_assignments WHERE action = 'change'
        UNION ALL SELECT before ->> 'sensor_deveui' FROM bulk_assignments WHERE action = 'change'
    )
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: touch_locations
-- Spaces that must be decided anew.
INSERT INTO bulk_touched
SELECT DISTINCT s.id FROM bulk_locations AS n
INNER JOIN locations AS l ON l.path @> ARRAY[n.id]
INNER JOIN spaces AS s ON s.location_id = l.id AND s.deleted_at IS NULL
WHERE n.action = 'change' AND n.maintenance <> (n.before ->> 'maintenance')::boolean;

-- name: touch_spaces
-- Spaces that must be decided anew.
INSERT INTO bulk_touched SELECT id FROM bulk_spaces WHERE action IS NOT NULL;

-- name: touch_device_types
-- Spaces whose sensors are believed for another time.
INSERT INTO bulk_touched
SELECT s.id FROM bulk_device_types AS n
INNER JOIN sensor_devices AS d ON d.device_type = n.code
INNER JOIN spaces AS s ON s.sensor_device_id = d.id AND s.deleted_at IS NULL
WHERE n.action = 'change';

-- name: touch_devices
-- Spaces that changed devices serve.
INSERT INTO bulk_touched
SELECT s.id FROM bulk_devices AS n INNER JOIN spaces AS s ON s.sensor_device_id = n.id AND s.deleted_at IS NULL
WHERE n.role = 'sensor' AND n.action = 'change'
UNION
SELECT s.id FROM bulk_devices AS n INNER JOIN spaces AS s ON s.display_device_id = n.id AND s.deleted_at IS NULL
WHERE n.role = 'display' AND n.action = 'change';

-- name: touch_assignments
-- Spaces that get or lose a device, with the display that they lose; and those that a coming mobile sensor serves too.
INSERT INTO bulk_touched
SELECT n.id, CASE WHEN n.display_deveui IS DISTINCT FROM s.display_deveui THEN s.display_device_id END
FROM bulk_assignments AS n INNER JOIN spaces AS s ON s.id = n.id WHERE n.action = 'change';
INSERT INTO bulk_touched
SELECT s.id
FROM bulk_assignments AS n
INNER JOIN sensor_devices AS d ON d.dev_eui = n.sensor_deveui AND d.mobile
INNER JOIN spaces AS s ON s.sensor_device_id = d.id AND s.deleted_at IS NULL
WHERE n.action = 'change' AND n.sensor_deveui IS DISTINCT FROM n.before ->> 'sensor_deveui'
ON CONFLICT DO NOTHING;

-- name: lock_touched
-- Spaces, then displays.
SELECT count(*) FROM (
    SELECT FROM spaces WHERE id IN (SELECT id FROM bulk_touched) ORDER BY id FOR NO KEY UPDATE
) AS locked;
SELECT count(*) FROM (
    SELECT FROM display_devices
    WHERE id IN (
        SELECT s.display_device_id FROM bulk_touched AS t INNER JOIN spaces AS s ON s.id = t.id
        UNION ALL SELECT d.id FROM bulk_displays AS d
    )
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: displays_devices
-- Displays that change or that come.
CREATE TEMP TABLE bulk_displays ON COMMIT DROP AS
SELECT id FROM bulk_devices WHERE role = 'display' AND action = 'change';

-- name: displays_assignments
-- Displays that change or that come.
CREATE TEMP TABLE bulk_displays ON COMMIT DROP AS
SELECT d.id FROM bulk_assignments AS n INNER JOIN display_devices AS d ON d.dev_eui = n.display_deveui
WHERE n.action = 'change';

-- name: displays_none
-- No display changes.
CREATE TEMP TABLE bulk_displays (id uuid) ON COMMIT DROP;

-- name: apply_locations
-- Parents before children: each takes its path from the one above.
INSERT INTO locations (id, parent_id, kind, name, timezone, maintenance, metadata)
SELECT id, ref, kind, regexp_replace(path, '^.*/', ''), timezone, maintenance, metadata
FROM bulk_locations WHERE action = 'add' ORDER BY cardinality(string_to_array(path, '/')), line;
UPDATE locations AS l SET timezone = n.timezone, maintenance = n.maintenance, metadata = n.metadata
FROM bulk_locations AS n WHERE n.action = 'change' AND n.id = l.id;

-- name: apply_spaces
-- New and changed ones.
INSERT INTO spaces (id, code, name, location_id, gps_latitude, gps_longitude, default_state, maintenance, metadata)
SELECT id, code, name, ref, latitude, longitude, default_state, maintenance, metadata
FROM bulk_spaces WHERE action = 'add';
UPDATE spaces AS s
SET name = n.name, location_id = n.ref, gps_latitude = n.latitude, gps_longitude = n.longitude,
    default_state = n.default_state, maintenance = n.maintenance, metadata = n.metadata
FROM bulk_spaces AS n WHERE n.action = 'change' AND n.id = s.id;

-- name: apply_device_types
-- New and changed ones.
INSERT INTO device_types (
    code, category, manufacturer, model, codec, dev_eui_prefixes, uplink_interval_s, silent_after_intervals,
    default_config, capabilities, enabled
)
SELECT code, category, manufacturer, model, codec, coalesce(string_to_array(dev_eui_prefixes, ' '), '{}'),
       uplink_interval_s, silent_after_intervals, default_config, capabilities, enabled
FROM bulk_device_types WHERE action IS NOT NULL
ON CONFLICT (code) DO UPDATE
SET category = excluded.category, manufacturer = excluded.manufacturer, model = excluded.model,
    codec = excluded.codec, dev_eui_prefixes = excluded.dev_eui_prefixes,
    uplink_interval_s = excluded.uplink_interval_s, silent_after_intervals = excluded.silent_after_intervals,
    default_config = excluded.default_config, capabilities = excluded.capabilities, enabled = excluded.enabled;

-- name: apply_devices
-- New and changed ones. What a sensor said is forgotten when it is enabled or disabled.
INSERT INTO sensor_devices (
    id, dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, enabled, lifecycle_state,
    mobile, network_server, application_id, notes
)
SELECT n.id, n.dev_eui, n.device_type, t.model, t.manufacturer, t.codec, t.capabilities, n.enabled, n.lifecycle_state,
       n.shared, n.network_server, n.application_id, n.notes
FROM bulk_devices AS n INNER JOIN device_types AS t ON t.code = n.device_type
WHERE n.role = 'sensor' AND n.action = 'add';
INSERT INTO display_devices (
    id, dev_eui, device_type, device_model, manufacturer, display_codes, fport, confirmed_downlinks, enabled,
    lifecycle_state, shared, network_server, application_id, notes
)
SELECT n.id, n.dev_eui, n.device_type, t.model, t.manufacturer, n.display_codes, n.fport, n.confirmed_downlinks,
       n.enabled, n.lifecycle_state, n.shared, n.network_server, n.application_id, n.notes
FROM bulk_devices AS n INNER JOIN device_types AS t ON t.code = n.device_type
WHERE n.role = 'display' AND n.action = 'add';
UPDATE sensor_devices AS d
SET occupancy = CASE WHEN d.enabled = n.enabled THEN d.occupancy END,
    occupancy_at = CASE WHEN d.enabled = n.enabled THEN d.occupancy_at END,
    enabled = n.enabled, lifecycle_state = n.lifecycle_state, mobile = n.shared, network_server = n.network_server,
    application_id = n.application_id, notes = n.notes
FROM bulk_devices AS n WHERE n.role = 'sensor' AND n.action = 'change' AND n.id = d.id;
UPDATE display_devices AS d
SET enabled = n.enabled, lifecycle_state = n.lifecycle_state, shared = n.shared, display_codes = n.display_codes,
    fport = n.fport, confirmed_downlinks = n.confirmed_downlinks, network_server = n.network_server,
    application_id = n.application_id, notes = n.notes
FROM bulk_devices AS n WHERE n.role = 'display' AND n.action = 'change' AND n.id = d.id;

-- name: apply_assignments
-- All at one instant, so that two spaces can exchange theirs: what went ends, then what came begins. The trigger that
-- keeps one space's assignments would take twice as long. What a sensor said elsewhere says nothing of where it comes.
SELECT set_config('baylight.assignments', 'written', true);
CREATE TEMP TABLE bulk_at ON COMMIT DROP AS
SELECT greatest(clock_timestamp(), max(lower(a.valid)) + interval '1 microsecond') AS at
FROM device_assignments AS a INNER JOIN bulk_touched AS t ON t.id = a.space_id
WHERE a.superseded_at IS NULL AND upper_inf(a.valid);
UPDATE device_assignments AS a SET valid = tstzrange(lower(a.valid), t.at)
FROM bulk_assignments AS n INNER JOIN spaces AS s ON s.id = n.id CROSS JOIN bulk_at AS t
WHERE n.action = 'change' AND a.space_id = n.id AND a.superseded_at IS NULL AND upper_inf(a.valid)
    AND CASE a.role
        WHEN 'sensor' THEN s.sensor_deveui IS DISTINCT FROM n.sensor_deveui
        ELSE s.display_deveui IS DISTINCT FROM n.display_deveui
    END;
UPDATE spaces AS s
SET sensor_state = CASE WHEN s.sensor_deveui IS NOT DISTINCT FROM n.sensor_deveui THEN s.sensor_state END,
    sensor_state_at = CASE WHEN s.sensor_deveui IS NOT DISTINCT FROM n.sensor_deveui THEN s.sensor_state_at END,
    display_state = CASE WHEN s.display_deveui IS NOT DISTINCT FROM n.display_deveui THEN s.display_state END,
    display_state_at = CASE WHEN s.display_deveui IS NOT DISTINCT FROM n.display_deveui THEN s.display_state_at END,
    sensor_deveui = n.sensor_deveui, display_deveui = n.display_deveui
FROM bulk_assignments AS n WHERE n.action = 'change' AND s.id = n.id;
INSERT INTO device_assignments (space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor)
SELECT n.id, c.role, c.sensor_device_id, c.display_device_id, tstzrange(t.at, NULL), c.shared,
       CASE WHEN n.before ->> (c.role || '_deveui') IS NULL THEN 'install' ELSE 'swap' END,
       current_setting('baylight.actor')
FROM bulk_assignments AS n
CROSS JOIN bulk_at AS t
INNER JOIN (
    SELECT s.id, 'sensor' AS role, d.id AS sensor_device_id, NULL::uuid AS display_device_id, d.mobile AS shared
    FROM spaces AS s INNER JOIN sensor_devices AS d ON d.id = s.sensor_device_id
    UNION ALL
    SELECT s.id, 'display', NULL, d.id, d.shared
    FROM spaces AS s INNER JOIN display_devices AS d ON d.id = s.display_device_id
) AS c ON c.id = n.id
WHERE n.action = 'change' AND NOT EXISTS (
    SELECT FROM device_assignments AS a
    WHERE a.space_id = n.id AND a.role = c.role AND a.superseded_at IS NULL AND upper_inf(a.valid)
);
UPDATE sensor_devices AS d SET lifecycle_state = 'installed'
FROM bulk_assignments AS n
WHERE n.action = 'change' AND d.dev_eui = n.sensor_deveui AND d.lifecycle_state = 'registered';
UPDATE display_devices AS d SET lifecycle_state = 'installed'
FROM bulk_assignments AS n
WHERE n.action = 'change' AND d.dev_eui = n.display_deveui AND d.lifecycle_state = 'registered';
UPDATE sensor_devices AS d SET occupancy = NULL, occupancy_at = NULL
FROM bulk_assignments AS n
WHERE n.action = 'change' AND d.dev_eui = n.sensor_deveui AND d.occupancy IS NOT NULL
    AND n.sensor_deveui IS DISTINCT FROM n.before ->> 'sensor_deveui';

-- name: still_serving
-- A display that serves another space is not released, unless it is shared: then its remaining spaces decide its light.
UPDATE bulk_touched AS t SET released = NULL
FROM display_devices AS d
WHERE d.id = t.released AND NOT d.shared
    AND EXISTS (SELECT FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL);

-- name: touched
-- A page of the spaces to decide. $1 after this id, $2 at most. `released`: a display that serves no space any more.
SELECT id, released FROM bulk_touched WHERE id > $1 ORDER BY id LIMIT $2;

-- name: record
-- A row of the audit log for each object. $1 actor.
INSERT INTO audit_log (actor, action, object_type, object_id, before, after)
SELECT $1, n.object_kind || CASE n.action WHEN 'add' THEN {added} ELSE {changed} END, n.object_kind, {object_id}, n.before,
       to_jsonb(n) - '{line,kept,id,ref,before,action,object_kind}'::text []
FROM (SELECT n.*, {object_type} AS object_kind FROM {table} AS n WHERE n.action IS NOT NULL ORDER BY n.line) AS n;

-- name: registered
-- Which devices of a list are registered, and as what; as a display if as both.
SELECT dev_eui, 'sensor' AS role FROM sensor_devices WHERE dev_eui = ANY ($1::text [])
UNION ALL
SELECT dev_eui, 'display' FROM display_devices WHERE dev_eui = ANY ($1::text []);
