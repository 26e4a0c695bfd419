-- name: lock_to_send
-- Displays with a due actuation and none outstanding, longest waiting first, locked. Skips displays whose lock is held
-- by others: no sender waits.
SELECT d.id
FROM (
    SELECT a.display_device_id
    FROM actuations AS a
    WHERE a.status = 'pending' AND a.next_attempt_at <= :now
      AND NOT EXISTS (
          SELECT 1 FROM actuations AS o
          WHERE o.display_device_id = a.display_device_id AND o.status IN ('sending', 'queued')
      )
    ORDER BY a.next_attempt_at
    LIMIT :limit
) AS due
INNER JOIN display_devices AS d ON d.id = due.display_device_id
FOR NO KEY UPDATE OF d SKIP LOCKED;
