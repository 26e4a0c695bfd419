-- name: to_ask
-- Commands whose outcome the network server must be asked for, longest waiting first: the lease of their sender is over,
-- or no news came in time after they were accepted.
SELECT id, display_device_id AS display_id, display_deveui AS dev_eui FROM actuations
WHERE status IN ('sending', 'queued') AND next_attempt_at <= :now
ORDER BY next_attempt_at
LIMIT :limit;
