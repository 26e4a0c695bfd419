-- What the switch keeps as it is by choice (`:kept`, of `closed` and `reserved`) is no difference.

-- name: differences
-- Spaces in which Baylight has decided otherwise than V2 for more than `:grace_s` seconds.
SELECT id, code, v2_state, v2_since, state, reason, decided_at FROM v2_migration.disagreements
WHERE coalesce(by_hand <> ALL(:kept::text[]), true)
  AND greatest(decided_at, v2_since) < clock_timestamp() - make_interval(secs => :grace_s)
ORDER BY decided_at
LIMIT :limit;

-- name: summary
-- Number of the spaces of `differences`, by both states and the reason.
SELECT v2_state, state, reason, count(*) AS spaces FROM v2_migration.disagreements
WHERE coalesce(by_hand <> ALL(:kept::text[]), true)
  AND greatest(decided_at, v2_since) < clock_timestamp() - make_interval(secs => :grace_s)
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
