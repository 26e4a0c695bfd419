-- name: ensure_partitions
-- Makes the partitions of this month and of the next two; returns how many it made.
SELECT count(*) FILTER (WHERE service_ensure_partition(parent, :now::timestamptz + make_interval(months => ahead)))
FROM unnest(ARRAY['uplinks', 'actuations']) AS parent CROSS JOIN generate_series(0, 2) AS ahead;

-- name: drop_partitions
-- Drops partitions of :parent that ended more than :months before :now; returns their names.
SELECT name FROM service_drop_partitions(:parent, :now::timestamptz - make_interval(months => :months)) AS name;

-- name: delete_steps
-- Deletes at most :limit steps of actuations that are older than :months at :now.
SELECT FROM service_delete_steps(:now::timestamptz - make_interval(months => :months), :limit);

-- name: delete_rejected
-- Deletes at most :limit rejected messages that last came before :before.
DELETE FROM rejected_messages WHERE digest IN (
    SELECT digest FROM rejected_messages WHERE last_at < :before ORDER BY last_at LIMIT :limit
);

-- name: delete_rejected_beyond
-- Deletes at most :limit rejected messages, all except the :kept that came last.
DELETE FROM rejected_messages WHERE digest IN (
    SELECT digest FROM rejected_messages ORDER BY last_at DESC, digest OFFSET :kept LIMIT :limit
);

-- name: delete_gateways
-- Deletes at most :limit gateways that were last seen before :before, and that no display or sensor used last.
DELETE FROM gateways WHERE gateway_id IN (
    SELECT g.gateway_id FROM gateways AS g
    WHERE g.last_seen_at < :before
        AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.gateway_id = g.gateway_id)
        AND NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.gateway_id = g.gateway_id)
    ORDER BY g.last_seen_at LIMIT :limit
);

-- name: delete_conditions
-- Deletes at most :limit conditions that ended more than :months months before :now.
DELETE FROM conditions WHERE id IN (
    SELECT id FROM conditions WHERE ended_at < :now::timestamptz - make_interval(months => :months)
    ORDER BY ended_at LIMIT :limit
);

-- name: delete_airtime
-- Deletes at most :limit minutes of airtime that began before :before.
DELETE FROM gateway_airtime WHERE (minute_at, gateway_id, sub_band) IN (
    SELECT minute_at, gateway_id, sub_band FROM gateway_airtime
    WHERE minute_at < :before ORDER BY minute_at, gateway_id, sub_band LIMIT :limit
);

-- name: delete_counted
-- Deletes at most :limit marks of counted tx_acks that came before :before.
DELETE FROM counted_tx_acks WHERE key IN (SELECT key FROM counted_tx_acks WHERE at < :before LIMIT :limit);

-- name: delete_strangers
-- Deletes at most :limit unknown devices that are registered by now, or whose last uplink came before :before
-- (`expired`).
DELETE FROM orphans WHERE dev_eui IN (
    SELECT o.dev_eui FROM orphans AS o
    WHERE o.last_at < :before OR EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = o.dev_eui)
        OR EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = o.dev_eui)
    LIMIT :limit
)
RETURNING dev_eui, last_at < :before AS expired;

-- name: delete_uplinks
-- Deletes the uplinks of unknown devices that are older than 28 days.
SELECT service_delete_uplinks(:dev_euis::text[]);

-- name: delete_answers
-- Deletes at most :limit kept answers that were kept before :before.
DELETE FROM kept_answers WHERE (api_key_id, idempotency_key) IN (
    SELECT api_key_id, idempotency_key FROM kept_answers WHERE kept_at < :before ORDER BY kept_at LIMIT :limit
);
