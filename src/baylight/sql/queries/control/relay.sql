-- name: lock_to_send
-- Displays with a due actuation and none outstanding, longest waiting first, locked. Skips displays whose lock is held
-- by others: no sender waits. Leaves out displays behind the gateways :held.
SELECT d.id AS display_id, d.gateway_id
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
              SELECT 1 FROM display_devices AS h
              WHERE h.id = a.display_device_id AND h.gateway_id = ANY(:held::text[])
          )
      )
    ORDER BY a.next_attempt_at
    LIMIT :limit
) AS due
INNER JOIN display_devices AS d ON d.id = due.display_device_id
FOR NO KEY UPDATE OF d SKIP LOCKED;
