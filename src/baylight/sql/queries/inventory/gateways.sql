-- name: list
-- Gateways by id: one (:gateway_id), or a page of at most :limit after :after.
SELECT g.gateway_id, g.first_seen_at, g.last_seen_at, g.last_ack_at, g.unacked_since, g.refused_at, g.refusal,
       coalesce(d.displays, 0) AS displays
FROM gateways AS g
LEFT JOIN (
    SELECT gateway_id, count(*) AS displays FROM display_devices
    WHERE lifecycle_state <> 'decommissioned' GROUP BY gateway_id
) AS d ON d.gateway_id = g.gateway_id
WHERE (:gateway_id::text IS NULL OR g.gateway_id = :gateway_id) AND (:after::text IS NULL OR g.gateway_id > :after)
ORDER BY g.gateway_id
LIMIT :limit;

-- name: hours
-- Airtime of a gateway since :since by hour and sub-band, the newest first.
SELECT date_trunc('hour', minute_at) AS hour_at, sub_band, sum(frames)::bigint AS frames, sum(airtime_ms) AS airtime_ms
FROM gateway_airtime
WHERE gateway_id = :gateway_id AND minute_at > :since
GROUP BY hour_at, sub_band
ORDER BY hour_at DESC, sub_band;
