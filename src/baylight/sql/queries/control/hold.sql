-- name: unproven
-- Gateways with the number of commands that wait behind them, but for those in order: they acknowledged since
-- :lately, or a display proved since then that they send, and no command waits too long. The empty id stands for the gateways that are not known yet.
SELECT g.gateway_id, g.unacked_since, coalesce(w.waiting, 0) AS waiting
FROM (
    SELECT gateway_id, unacked_since, greatest(last_ack_at, proven_at) AS last_sent_at FROM gateways UNION ALL SELECT '', NULL, NULL
) AS g
LEFT JOIN (
    SELECT d.gateway_id, count(*) AS waiting
    FROM actuations AS a INNER JOIN displays_behind_gateways AS d ON d.id = a.display_device_id
    WHERE a.status IN ('sending', 'queued')
    GROUP BY d.gateway_id
) AS w ON w.gateway_id = g.gateway_id
WHERE g.unacked_since IS NOT NULL OR g.last_sent_at IS NULL OR g.last_sent_at < :lately
ORDER BY g.gateway_id;

-- name: short_of_airtime
-- Gateways whose airtime is nearly used, or that refused their last downlink because it is.
SELECT c.subject_id FROM conditions AS c WHERE c.kind = 'gateway_airtime' AND c.ended_at IS NULL
UNION
SELECT g.gateway_id FROM gateways AS g WHERE g.refusals > 0 AND g.refusal = 'DUTY_CYCLE_OVERFLOW';
