-- name: queue
-- Rows of V2 that Baylight's rows must still follow, and states of V2 that must follow Baylight's decisions: what `apply`
-- and `serve` have not done yet.
SELECT source_table || ' ' || source_id AS id,
       format('waits since %s, tried %s times: %s', to_char(min(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), max(tries),
              (array_agg(reason ORDER BY id DESC))[1]) AS detail
FROM (
    SELECT id, source_table, source_id, at, tries, reason FROM v2_migration.queue
    UNION ALL
    SELECT id, 'spaces.state', space_id::text, at, 0, 'V2 held the row' FROM v2_migration.late_states
) AS q
GROUP BY source_table, source_id
ORDER BY min(at)
LIMIT 20;

-- name: spaces_lost
-- Spaces of V2 that are neither carried over nor quarantined as a whole.
SELECT l.id::text AS id, l.code AS detail FROM public.spaces AS l
WHERE NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.id)
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND q.field = '*')
LIMIT 20;

-- name: spaces_unknown_to_v2
-- Spaces that V2 does not have, and that are not deleted.
SELECT s.id::text AS id, s.code AS detail FROM baylight_next.spaces AS s
WHERE NOT EXISTS (SELECT FROM public.spaces AS l WHERE l.id = s.id) AND s.deleted_at IS NULL
LIMIT 20;

-- name: spaces_round_trip
-- Spaces whose columns in V2 differ from those that the new tables give for V2.
SELECT l.id::text AS id,
       concat_ws(', ',
           CASE WHEN l.name IS DISTINCT FROM o.name THEN 'name' END,
           CASE WHEN l.code IS DISTINCT FROM o.code THEN 'code' END,
           CASE WHEN (l.building, l.floor, l.zone) IS DISTINCT FROM (o.building, o.floor, o.zone) THEN 'place' END,
           CASE WHEN (l.gps_latitude, l.gps_longitude) IS DISTINCT FROM (o.gps_latitude, o.gps_longitude) THEN 'gps' END,
           CASE WHEN l.sensor_eui IS DISTINCT FROM o.sensor_eui THEN 'sensor_eui' END,
           CASE WHEN l.display_eui IS DISTINCT FROM o.display_eui THEN 'display_eui' END,
           CASE WHEN l.state <> o.state THEN 'state' END,
           CASE WHEN l.metadata IS DISTINCT FROM o.metadata THEN 'metadata' END,
           CASE WHEN l.created_at IS DISTINCT FROM o.created_at THEN 'created_at' END,
           CASE WHEN l.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END) AS detail
FROM public.spaces AS l
INNER JOIN v2_migration.old_spaces AS o ON o.id = l.id
INNER JOIN baylight_next.spaces AS s ON s.id = l.id
WHERE ((l.name, l.code, l.building, l.floor, l.zone, l.gps_latitude, l.gps_longitude, l.sensor_eui, l.display_eui,
       l.metadata, l.created_at, l.deleted_at)
    IS DISTINCT FROM (o.name, o.code, o.building, o.floor, o.zone, o.gps_latitude, o.gps_longitude, o.sensor_eui,
       o.display_eui, o.metadata, o.created_at, o.deleted_at)
    OR (l.state <> o.state AND s.current_state <> 'UNKNOWN'))
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'spaces' AND q.source_id = l.id::text
                    AND (q.field = '*' OR q.reason = 'bad_time'))
LIMIT 20;

-- name: devices_of_spaces
-- Spaces whose copy of an EUI differs from that of their device.
SELECT s.id::text AS id, s.code || ': ' || coalesce(s.sensor_deveui, '-') || ' ' || coalesce(s.display_deveui, '-') AS detail
FROM baylight_next.spaces AS s
LEFT JOIN baylight_next.sensor_devices AS sd ON sd.id = s.sensor_device_id
LEFT JOIN baylight_next.display_devices AS dd ON dd.id = s.display_device_id
WHERE s.sensor_deveui IS DISTINCT FROM sd.dev_eui OR s.display_deveui IS DISTINCT FROM dd.dev_eui
LIMIT 20;

-- name: euis_unexplained
-- EUIs of V2 that serve no space, and that no quarantined value explains.
SELECT l.id::text AS id, l.code AS detail FROM public.spaces AS l
INNER JOIN baylight_next.spaces AS s ON s.id = l.id
WHERE l.deleted_at IS NULL
  AND ((l.sensor_eui IS DISTINCT FROM s.sensor_deveui
        AND v2_migration.canon_eui(l.sensor_eui) IS DISTINCT FROM s.sensor_deveui AND NOT EXISTS (
          SELECT FROM v2_migration.quarantine AS q
          WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND q.field IN ('*', 'sensor_eui')))
    OR (l.display_eui IS DISTINCT FROM s.display_deveui
        AND v2_migration.canon_eui(l.display_eui) IS DISTINCT FROM s.display_deveui AND NOT EXISTS (
          SELECT FROM v2_migration.quarantine AS q
          WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND q.field IN ('*', 'display_eui'))))
LIMIT 20;

-- name: assignments
-- Live spaces whose devices differ from those of the open assignments, and the other way round.
SELECT coalesce(n.space_id, a.space_id)::text AS id, coalesce(n.role, a.role) AS detail
FROM (
    SELECT s.id AS space_id, r.role, r.device_id FROM baylight_next.spaces AS s
    CROSS JOIN LATERAL (VALUES ('sensor', s.sensor_device_id), ('display', s.display_device_id)) AS r (role, device_id)
    WHERE s.deleted_at IS NULL AND r.device_id IS NOT NULL
) AS n
FULL JOIN (
    SELECT space_id, role, device_id FROM baylight_next.device_assignments
    WHERE superseded_at IS NULL AND upper_inf(valid)
) AS a USING (space_id, role)
WHERE n.device_id IS DISTINCT FROM a.device_id AND NOT (SELECT assignments_logged FROM v2_migration.control)
LIMIT 20;

-- name: reservations
-- Reservations that differ between both sides, or that one side does not have, unless they are quarantined.
SELECT coalesce(l.id, r.id)::text AS id,
       CASE WHEN l.id IS NULL THEN 'V2 does not have it' WHEN r.id IS NULL THEN 'not carried over' ELSE 'differs' END AS detail
FROM public.reservations AS l
FULL JOIN baylight_next.reservations AS r ON r.id = l.id
WHERE (l.space_id, l.start_time, l.end_time, l.user_email, l.user_phone, l.status, l.metadata, l.created_at)
    IS DISTINCT FROM (r.space_id, r.start_time, r.end_time, r.user_email, r.user_phone, r.status, r.metadata, r.created_at)
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'reservations' AND q.source_id = l.id::text)
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'spaces' AND q.source_id = l.space_id::text AND q.field = '*')
LIMIT 20;

-- name: state_changes
-- State changes of V2's history that are not in the new one.
SELECT l.id::text AS id, 'not carried over, or differs' AS detail FROM public.state_changes AS l
LEFT JOIN baylight_next.state_changes AS c ON c.id = l.id
WHERE (l.id, l.space_id, l.previous_state, l.new_state, l.source, l.request_id, l.metadata, l."timestamp")
    IS DISTINCT FROM (c.id, c.space_id, c.previous_state, c.new_state, c.source, c.request_id, c.metadata, c."timestamp")
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'state_changes' AND q.source_id = l.id::text)
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'spaces' AND q.source_id = l.space_id::text AND q.field = '*')
LIMIT 20;

-- name: api_keys
-- API keys of V2 that are missing, or that have other rights.
SELECT l.id::text AS id, l.key_name AS detail FROM public.api_keys AS l
LEFT JOIN baylight_next.api_keys AS k ON k.id = l.id
WHERE (k.id IS NULL OR k.is_active <> coalesce(l.is_active, false) OR k.is_admin <> coalesce(l.is_admin, false)
       OR (k.key_hash <> l.key_hash AND starts_with(k.key_hash, '$2')))
  AND NOT EXISTS (SELECT FROM v2_migration.quarantine AS q
                  WHERE q.source_table = 'api_keys' AND q.source_id = l.id::text AND q.field = '*')
LIMIT 20;

-- name: triggers
-- Triggers of the migration that are missing or switched off, and indexes and constraints that are not valid.
SELECT n.name AS id, 'trigger is missing or disabled' AS detail
FROM (VALUES ('public.spaces', 'baylight_keep_state'), ('public.spaces', 'baylight_capture_insert'),
             ('public.spaces', 'baylight_capture_update'), ('public.spaces', 'baylight_capture_delete'),
             ('public.reservations', 'baylight_capture_insert'), ('public.reservations', 'baylight_capture_update'),
             ('public.reservations', 'baylight_capture_delete'), ('public.state_changes', 'baylight_capture'),
             ('public.api_keys', 'baylight_capture'), ('baylight_next.spaces', 'v2_reflect'),
             ('baylight_next.spaces', 'v2_divert'), ('baylight_next.reservations', 'v2_reflect'),
             ('baylight_next.state_changes', 'v2_reflect'), ('baylight_next.actuations', 'v2_hold')) AS n (relation, name)
WHERE NOT EXISTS (SELECT FROM pg_trigger AS t
                  WHERE t.tgrelid = n.relation::regclass AND t.tgname = n.name AND t.tgenabled <> 'D')
UNION ALL
SELECT i.indexrelid::regclass::text, 'index is not valid' FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indrelid
WHERE NOT i.indisvalid AND c.relnamespace IN ('public'::regnamespace, 'baylight_next'::regnamespace)
  AND (SELECT relname FROM pg_class WHERE oid = i.indexrelid) NOT IN (SELECT name FROM v2_migration.postponed)
UNION ALL
SELECT conname, 'constraint is not validated' FROM pg_constraint
WHERE NOT convalidated AND connamespace = 'baylight_next'::regnamespace
  AND conname NOT IN (SELECT name FROM v2_migration.postponed);

-- name: counts
-- Number of rows on both sides, and a checksum over the rows that both have. Spaces that the quarantine explains as a
-- whole, or for a time, are left out of it.
SELECT 'spaces' AS name,
       (SELECT count(*) FROM public.spaces) AS v2_rows,
       (SELECT count(*) FROM baylight_next.spaces) AS rows,
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, name, code, sensor_eui, display_eui, deleted_at), 0))
        FROM public.spaces AS l WHERE EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.id) AND NOT EXISTS (
            SELECT FROM v2_migration.quarantine AS q
            WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND (q.field = '*' OR q.reason = 'bad_time'))) AS v2_checksum,
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, name, code, sensor_eui, display_eui, deleted_at), 0))
        FROM v2_migration.old_spaces AS l WHERE EXISTS (SELECT FROM public.spaces AS v WHERE v.id = l.id) AND NOT EXISTS (
            SELECT FROM v2_migration.quarantine AS q
            WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND (q.field = '*' OR q.reason = 'bad_time'))) AS checksum
UNION ALL
SELECT 'reservations', (SELECT count(*) FROM public.reservations), (SELECT count(*) FROM baylight_next.reservations),
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, space_id, start_time, end_time, status), 0))
        FROM public.reservations AS l WHERE EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)),
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, space_id, start_time, end_time, status), 0))
        FROM baylight_next.reservations)
UNION ALL
SELECT 'state_changes', (SELECT count(*) FROM public.state_changes),
       (SELECT count(*) FROM baylight_next.state_changes),
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, space_id, previous_state, new_state, "timestamp"), 0))
        FROM public.state_changes AS l WHERE EXISTS (SELECT FROM baylight_next.state_changes AS c WHERE c.id = l.id)),
       (SELECT bit_xor(hashtextextended(concat_ws('|', id, space_id, previous_state, new_state, "timestamp"), 0))
        FROM baylight_next.state_changes AS c WHERE EXISTS (SELECT FROM public.state_changes AS l WHERE l.id = c.id));
