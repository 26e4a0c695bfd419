-- name: lock_to_send
-- Displays with a due actuation and none outstanding, longest waiting first, locked. Skips displays whose lock is held
-- by others: no sender waits. Leaves out displays behind the gateways :held. `gateway_id`: the gateway that must
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
    ORDER BY a.next_attempt_at
    LIMIT :limit
) AS due
INNER JOIN display_devices AS d ON d.id = due.display_device_id
LEFT JOIN displays_behind_gateways AS g ON g.id = d.id
FOR NO KEY UPDATE OF d SKIP LOCKED;
