-- name: update_gateways
-- Writes when gateways were last seen.
INSERT INTO gateways AS g (gateway_id, first_seen_at, last_seen_at)
SELECT n, :now, :now FROM unnest(:gateway_ids::text[]) AS n
ON CONFLICT (gateway_id) DO UPDATE SET last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at);

-- name: ensure_partition
-- Makes the partition of uplinks for the month of :at, if there is none.
SELECT ensure_partition('uplinks', :at);
