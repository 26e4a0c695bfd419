-- A space that people closed in V2, or reserved by hand, stays so at the switch if `:closed` or `:reserved` is true. Then
-- it is no difference that Baylight alone would decide otherwise.

-- name: differences
-- Spaces in which Baylight has decided otherwise than V2 for more than `:grace_s` seconds.
SELECT l.id, l.code, l.state AS v2_state, s.current_state_at AS v2_since, d.state, d.reason, d.decided_at
FROM v2_migration.observed_decisions AS d
INNER JOIN baylight_next.spaces AS s ON s.id = d.space_id
INNER JOIN public.spaces AS l ON l.id = d.space_id
WHERE (d.state = 'UNKNOWN' OR v2_migration.v2_state(d.state) <> l.state)
  AND NOT (:closed::boolean AND l.state = 'MAINTENANCE') AND NOT (:reserved::boolean AND l.state = 'RESERVED' AND NOT EXISTS (
      SELECT FROM baylight_next.reservations AS r
      WHERE r.space_id = l.id AND r.status = 'active'
        AND r.during && tstzrange(least(s.current_state_at, clock_timestamp()), clock_timestamp(), '[]')))
  AND greatest(d.decided_at, s.current_state_at) < clock_timestamp() - make_interval(secs => :grace_s)
ORDER BY d.decided_at
LIMIT :limit;

-- name: summary
-- Number of the spaces of `differences`, by both states and the reason.
SELECT l.state AS v2_state, d.state, d.reason, count(*) AS spaces
FROM v2_migration.observed_decisions AS d
INNER JOIN baylight_next.spaces AS s ON s.id = d.space_id
INNER JOIN public.spaces AS l ON l.id = d.space_id
WHERE (d.state = 'UNKNOWN' OR v2_migration.v2_state(d.state) <> l.state)
  AND NOT (:closed::boolean AND l.state = 'MAINTENANCE') AND NOT (:reserved::boolean AND l.state = 'RESERVED' AND NOT EXISTS (
      SELECT FROM baylight_next.reservations AS r
      WHERE r.space_id = l.id AND r.status = 'active'
        AND r.during && tstzrange(least(s.current_state_at, clock_timestamp()), clock_timestamp(), '[]')))
  AND greatest(d.decided_at, s.current_state_at) < clock_timestamp() - make_interval(secs => :grace_s)
GROUP BY 1, 2, 3 ORDER BY 4 DESC;

-- name: observed
-- What has come to an observing Baylight: uplinks, the time of the first, and how many of the sensors sent one.
SELECT count(*) AS uplinks, min(u.received_at) AS since, count(DISTINCT d.id) AS sensors_received,
       (SELECT count(*) FROM baylight_next.spaces WHERE sensor_device_id IS NOT NULL AND deleted_at IS NULL) AS sensors
FROM baylight_next.uplinks AS u LEFT JOIN baylight_next.sensor_devices AS d ON d.dev_eui = u.dev_eui;

-- name: unreachable
-- Displays of spaces that Baylight could not command at the switch, with their spaces and the reason.
SELECT d.dev_eui, string_agg(s.code, ', ' ORDER BY s.code) AS spaces,
       CASE WHEN d.device_type = 'unknown_display' THEN 'its type is unknown'
            WHEN NOT d.enabled THEN 'it is disabled'
            ELSE 'no uplink of it has come here' END AS reason
FROM baylight_next.display_devices AS d
INNER JOIN baylight_next.spaces AS s ON s.display_device_id = d.id AND s.deleted_at IS NULL
WHERE d.device_type = 'unknown_display' OR NOT d.enabled OR d.last_seen_at IS NULL
GROUP BY d.id
ORDER BY d.dev_eui LIMIT :limit;
