-- name: lock_to_send
-- Displays with a due actuation and none outstanding, longest waiting first, locked. Skips displays whose lock is held
-- by others: no sender waits. Leaves out displays behind the gateways :held, and behind :short, whose airtime is short,
-- changes that are younger than their location lets them wait. `gateway_id`: the gateway that must
-- acknowledge the command soon, if there is one.
SELECT d.id AS display_id, g.gateway_id
FROM (
    SELECT a.display_device_id
    FROM actuations AS a
    WHERE a.status = 'pending' AND a.next_attempt_at <= :now
      AND NOT EXISTS (
          SELECT 1 FROM actuations AS o
          WHERE o.display_device_id = a.display_device_id AND o.status IN ('sending', 'queued')
      )
      AND (
          cardinality(:held::text[]) = 0
          OR NOT EXISTS (
              SELECT 1 FROM displays_behind_gateways AS h
              WHERE h.id = a.display_device_id AND h.gateway_id = ANY(:held::text[])
          )
      )
      AND (
          cardinality(:short::text[]) = 0
          OR NOT EXISTS (
              SELECT 1
              FROM displays_behind_gateways AS h
              INNER JOIN spaces AS s ON s.display_device_id = h.id AND s.deleted_at IS NULL
              INNER JOIN locations AS l ON l.id = s.location_id
              CROSS JOIN LATERAL (
                  SELECT p.change_hold_s FROM locations AS p
                  WHERE p.id = ANY(l.path) AND p.change_hold_s IS NOT NULL
                  ORDER BY cardinality(p.path) DESC LIMIT 1
              ) AS hold
              WHERE h.id = a.display_device_id AND h.gateway_id = ANY(:short::text[])
                  AND a.previous_state IS DISTINCT FROM a.new_state
                  AND a.created_at > :now::timestamptz - make_interval(secs => hold.change_hold_s)
          )
      )
    ORDER BY a.next_attempt_at
    LIMIT :limit
) AS due
INNER JOIN display_devices AS d ON d.id = due.display_device_id
LEFT JOIN displays_behind_gateways AS g ON g.id = d.id
FOR NO KEY UPDATE OF d SKIP LOCKED;
