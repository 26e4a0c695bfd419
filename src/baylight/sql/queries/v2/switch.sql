-- name: last_reading
-- Id of the reading up to which V2's readings are copied.
SELECT last_reading FROM v2_migration.control;

-- name: newest_reading
-- Id of the newest of V2's readings.
SELECT coalesce(max(id), 0) AS id FROM public.sensor_readings;

-- name: set_last_reading
-- Note the id of the reading up to which V2's readings are copied.
UPDATE v2_migration.control SET last_reading = :last;

-- name: sensors_read_since
-- Sensors from which V2 received readings since an earlier pass. V2 gives ids before it commits, so this reads
-- the last 10,000 again.
SELECT d.id FROM baylight_next.sensor_devices AS d
WHERE d.dev_eui IN (SELECT lower(device_eui) FROM public.sensor_readings WHERE id > :last::bigint - 10000)
ORDER BY d.id;

-- name: copy_last_readings
-- Copy the newest reading of each of these sensors.
UPDATE baylight_next.sensor_devices AS d
SET last_seen_at = n.seen_at, rssi_dbm = coalesce(n.rssi, d.rssi_dbm),
    snr_db = coalesce(n.snr, d.snr_db), occupancy = coalesce(n.occupancy, d.occupancy),
    occupancy_at = CASE WHEN n.occupancy IS NULL THEN d.occupancy_at ELSE n.seen_at END
FROM (
    SELECT s.id, r.* FROM baylight_next.sensor_devices AS s
    CROSS JOIN LATERAL v2_migration.last_reading(s.dev_eui) AS r
    WHERE s.id = ANY(:ids::uuid[])
) AS n
WHERE d.id = n.id AND coalesce(n.seen_at > d.last_seen_at, true);

-- name: forget_orphans
-- Forget devices that an observing Baylight received before they were registered.
DELETE FROM baylight_next.orphans AS o
WHERE EXISTS (SELECT FROM baylight_next.sensor_devices AS d WHERE d.dev_eui = o.dev_eui)
   OR EXISTS (SELECT FROM baylight_next.display_devices AS d WHERE d.dev_eui = o.dev_eui);

-- name: supersede_observed_actuations
-- Supersede the actuations that Baylight made while it observed. They are not sent after the switch.
UPDATE baylight_next.actuations SET status = 'superseded' WHERE status = 'pending';

-- name: forget_observed
-- Forget the decisions of Baylight that differed from V2's while it observed.
DELETE FROM v2_migration.observed_decisions;

-- name: close_by_hand
-- Keep the spaces closed that people closed in V2, until a person ends it in Baylight.
UPDATE baylight_next.spaces SET maintenance = true
WHERE current_state = 'MAINTENANCE' AND deleted_at IS NULL AND NOT maintenance;

-- name: reserve_by_hand
-- Keep the spaces reserved that V2 has as RESERVED without a reservation, until a person ends it in Baylight. A
-- reservation may have ended since V2's timers were stopped: it is still active, and explains the state.
INSERT INTO baylight_next.overrides (space_id, state, valid, reason, actor)
SELECT s.id, 'RESERVED', tstzrange(clock_timestamp(), NULL), 'RESERVED by hand in V2', 'v2'
FROM baylight_next.spaces AS s
WHERE s.current_state = 'RESERVED' AND s.deleted_at IS NULL
  AND NOT EXISTS (SELECT FROM baylight_next.reservations AS r
                  WHERE r.space_id = s.id AND r.status = 'active'
                    AND r.during && tstzrange(least(s.current_state_at, clock_timestamp()), clock_timestamp(), '[]'))
  AND NOT EXISTS (SELECT FROM baylight_next.overrides AS o
                  WHERE o.space_id = s.id AND o.valid && tstzrange(clock_timestamp(), NULL));

-- name: open_by_hand
-- Forget what close_by_hand did: V2's own state says it, and followed Baylight's.
UPDATE baylight_next.spaces SET maintenance = false WHERE maintenance;

-- name: release_by_hand
-- End what reserve_by_hand did.
UPDATE baylight_next.overrides
SET valid = tstzrange(lower(valid), greatest(clock_timestamp(), lower(valid) + interval '1 microsecond')), ended_by = 'v2'
WHERE actor = 'v2' AND upper_inf(valid);

-- name: late_states
-- Write the decisions that came while V2 held its row. Returns how many still wait.
SELECT v2_migration.reflect_late_states() AS waiting;

-- name: restore_states
-- Give V2 back the states that it had before Baylight found the spaces UNKNOWN.
UPDATE public.spaces AS l SET state = k.state
FROM v2_migration.kept_states AS k INNER JOIN baylight_next.spaces AS s ON s.id = k.space_id
WHERE l.id = k.space_id AND s.current_state = 'UNKNOWN' AND l.state <> k.state;

-- name: forget_kept_states
-- Forget the states that restore_states gives back.
DELETE FROM v2_migration.kept_states;

-- name: set_owner
-- Set the side whose decisions count, `v2` or `baylight`.
UPDATE v2_migration.control SET owner = :owner, owner_since = clock_timestamp();

-- name: next_displays
-- Displays behind the id `:after` that must show another state than the one that V2 shows.
SELECT d.id FROM baylight_next.display_devices AS d
WHERE d.id > :after AND EXISTS (
    SELECT FROM baylight_next.spaces AS s
    WHERE s.display_device_id = d.id AND s.deleted_at IS NULL
      AND (d.desired_state, d.desired_code) IS DISTINCT FROM (s.current_state::text, d.display_codes ->> s.current_state)
)
ORDER BY d.id LIMIT :limit;

-- name: shown_by_v2
-- Set the desired state of these displays to the one that V2 shows, without a command. So only other decisions are sent
-- after the switch.
UPDATE baylight_next.display_devices AS d
SET desired_state = s.current_state, desired_code = d.display_codes ->> s.current_state, desired_at = now(),
    commanded_actuation_id = NULL
FROM (
    SELECT DISTINCT ON (display_device_id) display_device_id, current_state FROM baylight_next.spaces
    WHERE display_device_id = ANY(:ids::uuid[]) AND deleted_at IS NULL ORDER BY display_device_id, code
) AS s
WHERE d.id = s.display_device_id
  AND (d.desired_state, d.desired_code) IS DISTINCT FROM (s.current_state::text, d.display_codes ->> s.current_state);

-- name: next_spaces
-- Spaces behind the id `:after` that are not yet due to be decided.
SELECT id FROM baylight_next.spaces
WHERE id > :after AND deleted_at IS NULL AND (recompute_at IS NULL OR recompute_at > clock_timestamp())
ORDER BY id LIMIT :limit;

-- name: redecide
-- Make these spaces due, so that the timer decides them by Baylight's rules. Spaces that are already due stay as they
-- are.
UPDATE baylight_next.spaces SET recompute_at = clock_timestamp()
WHERE id IN (
    SELECT id FROM baylight_next.spaces
    WHERE id = ANY(:ids::uuid[]) AND deleted_at IS NULL AND (recompute_at IS NULL OR recompute_at > clock_timestamp())
    FOR NO KEY UPDATE SKIP LOCKED
);

-- name: spaces_not_following
-- Spaces whose state is not the one that V2 has.
SELECT s.id FROM baylight_next.spaces AS s INNER JOIN public.spaces AS l ON l.id = s.id
WHERE s.current_state <> l.state LIMIT :limit;

-- name: follow_v2
-- Give these spaces V2's state, since V2 decides again. Rows that V2 holds are skipped until the next batch.
UPDATE baylight_next.spaces AS s SET current_state = l.state, current_state_at = clock_timestamp(), recompute_at = NULL
FROM (SELECT id, state FROM public.spaces WHERE id = ANY(:ids::uuid[]) FOR SHARE SKIP LOCKED) AS l
WHERE s.id = l.id AND s.current_state <> l.state;

-- name: estimate_spaces
-- Estimated number of rows of the table.
SELECT greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE oid = 'baylight_next.spaces'::regclass;

-- name: estimate_display_devices
-- Estimated number of rows of the table.
SELECT greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE oid = 'baylight_next.display_devices'::regclass;
