-- name: mark_late
-- Marks the gateways behind which commands wait: handed to the network server before :late_before, after the gateway's
-- last tx_ack, and sent by no gateway. A display is behind the gateway of its newest uplink. Left out are displays to
-- which the network server sends nothing for a reason of their own, and The Things Stack, which names no gateway in its
-- acknowledgements.
WITH late AS (
    SELECT d.gateway_id, min(a.sent_at) AS since
    FROM actuations AS a
    INNER JOIN display_devices AS d ON d.id = a.display_device_id
    INNER JOIN gateways AS g ON g.gateway_id = d.gateway_id
    WHERE a.status = 'queued' AND a.sent_at <= :late_before AND a.sent_at > coalesce(g.last_ack_at, '-infinity')
        AND d.network_server = 'chirpstack'
        AND NOT EXISTS (
            SELECT FROM conditions AS c
            WHERE c.ended_at IS NULL AND c.subject_id = d.id::text
                AND c.kind IN ('display_disabled', 'display_not_class_c', 'display_waits_for_uplink')
        )
    GROUP BY d.gateway_id
)
UPDATE gateways AS g SET unacked_since = coalesce(g.unacked_since, late.since), late_at = :now
FROM late WHERE g.gateway_id = late.gateway_id;

-- name: unmark
-- Forgets that commands waited, where none has waited since :before: the displays were removed, or other gateways serve
-- them.
UPDATE gateways SET unacked_since = NULL, late_at = NULL WHERE late_at < :before;

-- name: silent
-- Gateways that have acknowledged nothing for :at_least while commands waited. One read of a small table.
SELECT gateway_id, unacked_since FROM gateways WHERE late_at >= unacked_since + :at_least::interval;
