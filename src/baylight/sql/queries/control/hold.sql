-- name: unacked
-- Gateways that owe acknowledgements, with the number of commands that wait behind them. A display is behind the gateway
-- of its newest uplink.
SELECT g.gateway_id, g.unacked_since, count(a.id) AS waiting
FROM gateways AS g
LEFT JOIN display_devices AS d ON d.gateway_id = g.gateway_id
LEFT JOIN actuations AS a ON a.display_device_id = d.id AND a.status IN ('sending', 'queued')
WHERE g.unacked_since IS NOT NULL
GROUP BY g.gateway_id, g.unacked_since
ORDER BY g.gateway_id;
