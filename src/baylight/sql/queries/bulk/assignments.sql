-- name: stage
-- Make the table for the rows of a file.
CREATE TEMP TABLE bulk_rows (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    space text, sensor_dev_eui text, display_dev_eui text
) ON COMMIT DROP;

-- name: stored
-- Return the devices that serve live spaces now, in the form of a file.
SELECT id, code::text AS space, sensor_deveui::text AS sensor_dev_eui, display_deveui::text AS display_dev_eui
FROM spaces WHERE deleted_at IS NULL;

-- name: check
-- Find what is wrong beyond a single cell. A device that is not shared may serve one space after the import.
INSERT INTO bulk_errors
WITH wanted AS (
    SELECT n.line, n.id AS space_id, n.action, c.role, c.dev_eui, c.before
    FROM bulk_rows AS n
    CROSS JOIN LATERAL (
        VALUES ('sensor', n.sensor_dev_eui, n.before ->> 'sensor_dev_eui'),
        ('display', n.display_dev_eui, n.before ->> 'display_dev_eui')
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
    WHERE s.deleted_at IS NULL AND c.dev_eui IS NOT NULL AND s.id NOT IN (SELECT id FROM bulk_rows WHERE id IS NOT NULL)
),
several AS (SELECT role, dev_eui FROM after GROUP BY role, dev_eui HAVING count(*) > 1)
SELECT line, 'space', 'unknown_space', format('there is no space %L: import spaces first', space)
FROM bulk_rows WHERE before IS NULL
UNION ALL
SELECT line, role || '_dev_eui', 'unknown_' || role, format('no %s %s is registered', role, dev_eui)
FROM coming WHERE unknown
UNION ALL
SELECT line, role || '_dev_eui', 'device_disabled', format('%s %s is disabled or decommissioned', role, dev_eui)
FROM coming WHERE NOT usable
UNION ALL
SELECT c.line, c.role || '_dev_eui', 'device_in_use', format('%s %s would serve another space as well', c.role, c.dev_eui)
FROM coming AS c INNER JOIN several AS s ON s.role = c.role AND s.dev_eui = c.dev_eui WHERE NOT c.shared;

-- name: lock
-- Lock the sensors that begin or stop to serve, by id.
SELECT count(*) FROM (
    SELECT FROM sensor_devices
    WHERE dev_eui IN (
        SELECT sensor_dev_eui FROM bulk_rows WHERE action = 'change'
        UNION ALL SELECT before ->> 'sensor_dev_eui' FROM bulk_rows WHERE action = 'change'
    )
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: touch
-- Note the spaces that get or lose a device, each with the display that it loses, and the spaces that a coming mobile
-- sensor serves as well.
INSERT INTO bulk_touched
SELECT n.id, CASE WHEN n.display_dev_eui IS DISTINCT FROM s.display_deveui THEN s.display_device_id END
FROM bulk_rows AS n INNER JOIN spaces AS s ON s.id = n.id WHERE n.action = 'change';
INSERT INTO bulk_touched
SELECT s.id
FROM bulk_rows AS n
INNER JOIN sensor_devices AS d ON d.dev_eui = n.sensor_dev_eui AND d.mobile
INNER JOIN spaces AS s ON s.sensor_device_id = d.id AND s.deleted_at IS NULL
WHERE n.action = 'change' AND n.sensor_dev_eui IS DISTINCT FROM n.before ->> 'sensor_dev_eui'
ON CONFLICT DO NOTHING;

-- name: note_displays
-- Note the displays that begin to serve.
INSERT INTO bulk_displays
SELECT d.id FROM bulk_rows AS n INNER JOIN display_devices AS d ON d.dev_eui = n.display_dev_eui
WHERE n.action = 'change';

-- name: apply
-- Change all at one instant, so that two spaces can exchange their devices: first old assignments end, then new ones
-- begin. The trigger that writes the assignments of one space would need twice the time. A reading from another place
-- proves nothing here, so a sensor that comes loses it.
SELECT set_config('baylight.assignments', 'written', true);
CREATE TEMP TABLE bulk_at ON COMMIT DROP AS
SELECT greatest(clock_timestamp(), max(lower(a.valid)) + interval '1 microsecond') AS at
FROM device_assignments AS a INNER JOIN bulk_touched AS t ON t.id = a.space_id
WHERE a.superseded_at IS NULL AND upper_inf(a.valid);
UPDATE device_assignments AS a SET valid = tstzrange(lower(a.valid), t.at)
FROM bulk_rows AS n INNER JOIN spaces AS s ON s.id = n.id CROSS JOIN bulk_at AS t
WHERE n.action = 'change' AND a.space_id = n.id AND a.superseded_at IS NULL AND upper_inf(a.valid)
    AND CASE a.role
        WHEN 'sensor' THEN s.sensor_deveui IS DISTINCT FROM n.sensor_dev_eui
        ELSE s.display_deveui IS DISTINCT FROM n.display_dev_eui
    END;
UPDATE spaces AS s
SET sensor_state = CASE WHEN s.sensor_deveui IS NOT DISTINCT FROM n.sensor_dev_eui THEN s.sensor_state END,
    sensor_state_at = CASE WHEN s.sensor_deveui IS NOT DISTINCT FROM n.sensor_dev_eui THEN s.sensor_state_at END,
    display_state = CASE WHEN s.display_deveui IS NOT DISTINCT FROM n.display_dev_eui THEN s.display_state END,
    display_state_at = CASE WHEN s.display_deveui IS NOT DISTINCT FROM n.display_dev_eui THEN s.display_state_at END,
    sensor_deveui = n.sensor_dev_eui, display_deveui = n.display_dev_eui
FROM bulk_rows AS n WHERE n.action = 'change' AND s.id = n.id;
INSERT INTO device_assignments (space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor)
SELECT n.id, c.role, c.sensor_device_id, c.display_device_id, tstzrange(t.at, NULL), c.shared,
       CASE WHEN n.before ->> (c.role || '_dev_eui') IS NULL THEN 'install' ELSE 'swap' END,
       current_setting('baylight.actor')
FROM bulk_rows AS n
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
FROM bulk_rows AS n
WHERE n.action = 'change' AND d.dev_eui = n.sensor_dev_eui AND d.lifecycle_state = 'registered';
UPDATE display_devices AS d SET lifecycle_state = 'installed'
FROM bulk_rows AS n
WHERE n.action = 'change' AND d.dev_eui = n.display_dev_eui AND d.lifecycle_state = 'registered';
UPDATE sensor_devices AS d SET occupancy = NULL, occupancy_at = NULL
FROM bulk_rows AS n
WHERE n.action = 'change' AND d.dev_eui = n.sensor_dev_eui AND d.occupancy IS NOT NULL
    AND n.sensor_dev_eui IS DISTINCT FROM n.before ->> 'sensor_dev_eui';

-- name: analyze
-- Renew statistics after many rows, so that the planner does not use old ones.
ANALYZE bulk_touched, spaces, device_assignments;
