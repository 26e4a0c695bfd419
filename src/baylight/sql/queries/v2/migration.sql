-- name: contested_sensors
-- Sensors that several live spaces ask for. $1 oldest, newest or none.
INSERT INTO v2_migration.contested (role, eui, winner, reason)
SELECT 'sensor', lower(sensor_eui),
       CASE $1::text WHEN 'oldest' THEN (array_agg(id ORDER BY created_at, id))[1]
                     WHEN 'newest' THEN (array_agg(id ORDER BY created_at DESC, id DESC))[1] END,
       'contested_sensor'
FROM public.spaces
WHERE deleted_at IS NULL AND v2_migration.canon_eui(sensor_eui) IS NOT NULL
GROUP BY lower(sensor_eui) HAVING count(*) > 1;

-- name: contested_roles
-- EUIs that are a sensor here and a display there. $1 both, sensor or display.
INSERT INTO v2_migration.contested (role, eui, reason)
SELECT CASE $1::text WHEN 'sensor' THEN 'display' ELSE 'sensor' END, eui, 'other_role'
FROM (
    SELECT lower(sensor_eui) AS eui FROM public.spaces
    WHERE deleted_at IS NULL AND v2_migration.canon_eui(sensor_eui) IS NOT NULL
    INTERSECT
    SELECT lower(display_eui) FROM public.spaces
    WHERE deleted_at IS NULL AND v2_migration.canon_eui(display_eui) IS NOT NULL
) AS both_roles
WHERE $1::text <> 'both'
ON CONFLICT (role, eui) DO UPDATE SET winner = NULL, reason = excluded.reason;

-- name: contested_displays
-- Displays of several live spaces. $1 shared or none.
INSERT INTO v2_migration.contested (role, eui, shared, reason)
SELECT 'display', lower(display_eui), $1::text = 'shared', 'shared_display'
FROM public.spaces
WHERE deleted_at IS NULL AND v2_migration.canon_eui(display_eui) IS NOT NULL
GROUP BY lower(display_eui) HAVING count(*) > 1
ON CONFLICT (role, eui) DO NOTHING;

-- name: spaces_of_pages
-- Ids of the rows in a range of pages. $1 first tid, $2 tid after the last.
SELECT array_agg(id) FROM public.spaces WHERE ctid >= $1::text::tid AND ctid < $2::text::tid;

-- name: spaces_left
-- Spaces that are neither carried over nor quarantined as a whole. $1 most.
SELECT l.id FROM public.spaces AS l
WHERE NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'spaces' AND q.source_id = l.id::text AND q.field = '*'
  )
LIMIT $1;

-- name: active_reservations_left
-- Active reservations that are neither carried over nor quarantined, the earliest made first. $1 most.
SELECT l.id FROM public.reservations AS l
WHERE l.status = 'active'
  AND EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.space_id)
  AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'reservations' AND q.source_id = l.id::text
  )
ORDER BY l.created_at, l.id
LIMIT $1;

-- name: reservations_left
-- As active_reservations_left, of any status and in no order. $1 most.
SELECT l.id FROM public.reservations AS l
WHERE EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.space_id)
  AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r WHERE r.id = l.id)
  AND NOT EXISTS (
      SELECT FROM v2_migration.quarantine AS q
      WHERE q.source_table = 'reservations' AND q.source_id = l.id::text
  )
LIMIT $1;

-- name: state_changes_left
-- Those whose id was given before, and committed after, the walk came by.
INSERT INTO baylight_next.state_changes (
    id, space_id, previous_state, new_state, source, request_id, metadata, "timestamp"
)
SELECT l.id, l.space_id, l.previous_state, l.new_state, l.source, l.request_id, l.metadata, l."timestamp"
FROM public.state_changes AS l
INNER JOIN baylight_next.spaces AS s ON s.id = l.space_id
WHERE NOT EXISTS (SELECT FROM baylight_next.state_changes AS c WHERE c.id = l.id)
ON CONFLICT (id) DO NOTHING;

-- name: note_last_reading
-- Where the readings stand when the first sensor is registered.
UPDATE v2_migration.control SET last_reading = coalesce((SELECT max(id) FROM public.sensor_readings), 0);

-- name: take_last_readings
-- The newest reading of each sensor. $1 sensor ids.
UPDATE baylight_next.sensor_devices AS d
SET last_seen_at = n.seen_at, rssi_dbm = coalesce(n.rssi, d.rssi_dbm),
    snr_db = coalesce(n.snr, d.snr_db), occupancy = coalesce(n.occupancy, d.occupancy),
    occupancy_at = CASE WHEN n.occupancy IS NULL THEN d.occupancy_at ELSE n.seen_at END
FROM (
    SELECT s.id, r.* FROM baylight_next.sensor_devices AS s
    CROSS JOIN LATERAL v2_migration.last_reading(s.dev_eui) AS r
    WHERE s.id = ANY($1::uuid[])
) AS n
WHERE d.id = n.id AND coalesce(n.seen_at > d.last_seen_at, true);

-- name: sensors_read_since
-- Sensors that V2 heard since an earlier pass. Ids are given before commit, so the last 10,000 are looked at again.
SELECT d.id FROM baylight_next.sensor_devices AS d
WHERE d.dev_eui IN (SELECT lower(device_eui) FROM public.sensor_readings WHERE id > $1::bigint - 10000)
ORDER BY d.id;

-- name: forget_orphans
-- Devices that an observing Baylight received before they were registered.
DELETE FROM baylight_next.orphans AS o
WHERE EXISTS (SELECT FROM baylight_next.sensor_devices AS d WHERE d.dev_eui = o.dev_eui)
   OR EXISTS (SELECT FROM baylight_next.display_devices AS d WHERE d.dev_eui = o.dev_eui);

-- name: supersede_observed_actuations
-- What Baylight would have sent while it observed is not sent after the switch.
UPDATE baylight_next.actuations SET status = 'superseded' WHERE status = 'pending';

-- name: next_displays
-- Displays that are to show something else than what V2 shows. $1 id after which, $2 how many.
SELECT d.id FROM baylight_next.display_devices AS d
WHERE d.id > $1 AND EXISTS (
    SELECT FROM baylight_next.spaces AS s
    WHERE s.display_device_id = d.id AND s.deleted_at IS NULL
      AND (d.desired_state, d.desired_code) IS DISTINCT FROM (s.current_state::text, d.display_codes ->> s.current_state)
)
ORDER BY d.id LIMIT $2;

-- name: shown_by_v2
-- Displays show what V2 made them show: after the switch only what is decided otherwise is sent. $1 display ids.
UPDATE baylight_next.display_devices AS d
SET desired_state = s.current_state, desired_code = d.display_codes ->> s.current_state, desired_at = now(),
    commanded_actuation_id = NULL
FROM (
    SELECT DISTINCT ON (display_device_id) display_device_id, current_state FROM baylight_next.spaces
    WHERE display_device_id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY display_device_id, code
) AS s
WHERE d.id = s.display_device_id
  AND (d.desired_state, d.desired_code) IS DISTINCT FROM (s.current_state::text, d.display_codes ->> s.current_state);

-- name: next_spaces
-- Spaces that are not going to be decided anyway. $1 id after which, $2 how many.
SELECT id FROM baylight_next.spaces
WHERE id > $1 AND deleted_at IS NULL AND (recompute_at IS NULL OR recompute_at > clock_timestamp())
ORDER BY id LIMIT $2;

-- name: redecide
-- The loop of time decides these spaces by Baylight's rules, if it is not going to anyway. $1 ids.
UPDATE baylight_next.spaces SET recompute_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM baylight_next.spaces
    WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL AND (recompute_at IS NULL OR recompute_at > clock_timestamp())
    FOR NO KEY UPDATE SKIP LOCKED
);

-- name: follow_v2
-- Back under V2: its state counts again. $1 ids.
UPDATE baylight_next.spaces AS s SET current_state = l.state, current_state_at = clock_timestamp(), recompute_at = NULL
FROM (SELECT id, state FROM public.spaces WHERE id = ANY($1::uuid[]) FOR SHARE SKIP LOCKED) AS l
WHERE s.id = l.id AND s.current_state <> l.state;

-- name: spaces_not_following
-- $1 most.
SELECT s.id FROM baylight_next.spaces AS s INNER JOIN public.spaces AS l ON l.id = s.id
WHERE s.current_state <> l.state LIMIT $1;

-- name: observe_report
-- Where Baylight decides otherwise than V2, longer than a moment. $1 seconds of grace, $2 most.
SELECT l.id, l.code, l.state AS v2_state, s.current_state_at AS v2_since, d.state, d.reason, d.decided_at
FROM v2_migration.observed_decisions AS d
INNER JOIN baylight_next.spaces AS s ON s.id = d.space_id
INNER JOIN public.spaces AS l ON l.id = d.space_id
WHERE coalesce(v2_migration.v2_state(d.state), '') <> l.state
  AND greatest(d.decided_at, s.current_state_at) < clock_timestamp() - make_interval(secs => $1)
ORDER BY d.decided_at
LIMIT $2;

-- name: observe_summary
-- The same, counted by what differs. $1 seconds of grace.
SELECT l.state AS v2_state, d.state, d.reason, count(*) AS spaces
FROM v2_migration.observed_decisions AS d
INNER JOIN baylight_next.spaces AS s ON s.id = d.space_id
INNER JOIN public.spaces AS l ON l.id = d.space_id
WHERE coalesce(v2_migration.v2_state(d.state), '') <> l.state
  AND greatest(d.decided_at, s.current_state_at) < clock_timestamp() - make_interval(secs => $1)
GROUP BY 1, 2, 3 ORDER BY 4 DESC;

-- name: spaces_without
-- Live spaces that forbid the option `require`. $1 sensor or display, $2 most.
SELECT s.id, s.code FROM baylight_next.spaces AS s
WHERE s.deleted_at IS NULL
  AND CASE $1::text WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END IS NULL
ORDER BY s.code LIMIT $2;
