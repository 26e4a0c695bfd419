-- name: lost
-- Actuations whose sender never recorded the outcome, and whose lease is over.
SELECT id, display_device_id AS display_id, display_deveui AS dev_eui FROM actuations
WHERE status = 'sending' AND next_attempt_at <= :now
ORDER BY id
LIMIT :limit;
