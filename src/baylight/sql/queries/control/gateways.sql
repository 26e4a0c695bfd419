-- name: seen
-- Writes when gateways were last seen: they forwarded an uplink.
INSERT INTO gateways AS g (gateway_id, first_seen_at, last_seen_at)
SELECT n, :now, :now FROM unnest(:gateway_ids::text[]) AS n
ON CONFLICT (gateway_id) DO UPDATE SET last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at);

-- name: transmitted
-- Counts the airtime of tx_acks that are not counted yet, and writes when their gateways last acknowledged. A gateway in
-- order is written at most each 5 s: every batch would wait for its row. Rows are written in the order of their keys, so
-- two writers wait for each other and never deadlock.
WITH n AS (
    SELECT DISTINCT ON (r.key) r.*
    FROM json_to_recordset(:rows::json) AS r (
        key text, acked_at timestamptz, sent_at timestamptz, gateway_id text, sub_band text, airtime_ms double precision,
        assumed boolean
)
    ORDER BY r.key, r.acked_at
), added AS (
    INSERT INTO counted_tx_acks (key, at) SELECT key, acked_at FROM n ORDER BY key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), new AS (
    SELECT n.* FROM n INNER JOIN added USING (key)
), counted AS (
    INSERT INTO gateway_airtime AS a (minute_at, gateway_id, sub_band, frames, assumed_frames, airtime_ms)
    SELECT date_trunc('minute', sent_at) AS minute_at, gateway_id, sub_band, count(*), count(*) FILTER (WHERE assumed),
           sum(airtime_ms)
    FROM new GROUP BY minute_at, gateway_id, sub_band ORDER BY minute_at, gateway_id, sub_band
    ON CONFLICT (minute_at, gateway_id, sub_band) DO UPDATE
    SET frames = a.frames + excluded.frames, assumed_frames = a.assumed_frames + excluded.assumed_frames,
        airtime_ms = a.airtime_ms + excluded.airtime_ms
)
INSERT INTO gateways AS g (gateway_id, first_seen_at, last_seen_at, last_ack_at)
SELECT gateway_id, min(acked_at), max(acked_at), max(acked_at) FROM new GROUP BY gateway_id ORDER BY gateway_id
ON CONFLICT (gateway_id) DO UPDATE
SET last_ack_at = greatest(g.last_ack_at, excluded.last_ack_at), unacked_since = NULL, late_at = NULL,
    refusals = CASE WHEN g.refused_at > excluded.last_ack_at THEN g.refusals ELSE 0 END
WHERE g.last_ack_at IS NULL OR g.unacked_since IS NOT NULL OR g.refusals > 0
    OR g.last_ack_at <= excluded.last_ack_at - interval '5 seconds';

-- name: proven
-- Writes which gateways displays proved to send: they reported the light of a command of which no tx_ack has come.
INSERT INTO gateways AS g (gateway_id, first_seen_at, last_seen_at, proven_at)
SELECT n, :now, :now, :now FROM unnest(:gateway_ids::text[]) AS n
ON CONFLICT (gateway_id) DO UPDATE
SET proven_at = greatest(g.proven_at, excluded.proven_at), unacked_since = NULL, late_at = NULL
WHERE g.proven_at IS NULL OR g.unacked_since IS NOT NULL OR g.proven_at <= excluded.proven_at - interval '5 seconds';

-- name: refused
-- Writes the refusals of downlinks to displays. The network server does not name the gateway: it is the one of the
-- display's newest uplink. A refusal that was made at most 5 min before the newest one, or with it, is a redelivery;
-- further back, the network server's clock was set back.
INSERT INTO gateways AS g (
    gateway_id, first_seen_at, last_seen_at, refused_at, refused_made_at, refusal, refusals, refused_dev_eui
)
SELECT DISTINCT ON (d.gateway_id) d.gateway_id, n.at, n.at, n.at, n.made_at, n.reason,
       count(*) OVER (PARTITION BY d.gateway_id), n.dev_eui
FROM json_to_recordset(:rows::json) AS n (
    at timestamptz, made_at timestamptz, dev_eui text, reason text
)
INNER JOIN display_devices AS d ON d.dev_eui = n.dev_eui
LEFT JOIN gateways AS k ON k.gateway_id = d.gateway_id
WHERE d.gateway_id IS NOT NULL
    AND coalesce(n.made_at > k.refused_made_at OR n.made_at < k.refused_made_at - interval '5 minutes', true)
ORDER BY d.gateway_id, n.at DESC
ON CONFLICT (gateway_id) DO UPDATE
SET refused_at = excluded.refused_at, refused_made_at = excluded.refused_made_at, refusal = excluded.refusal,
    refusals = g.refusals + excluded.refusals, refused_dev_eui = excluded.refused_dev_eui;

-- name: mark_late
-- Marks the gateways behind which commands wait: handed to the network server before :late_before, after the gateway's
-- last tx_ack or proof, and sent by no gateway. The waiting counts from :seen_since at the earliest: after a stop, the tx_acks of
-- old commands are yet to be read.
WITH late AS (
    SELECT d.gateway_id, min(a.sent_at) AS since
    FROM actuations AS a
    INNER JOIN displays_behind_gateways AS d ON d.id = a.display_device_id
    INNER JOIN gateways AS g ON g.gateway_id = d.gateway_id
    WHERE a.status = 'queued' AND a.sent_at <= :late_before AND a.sent_at > coalesce(greatest(g.last_ack_at, g.proven_at), '-infinity')
    GROUP BY d.gateway_id
)
UPDATE gateways AS g SET unacked_since = coalesce(g.unacked_since, greatest(late.since, :seen_since)), late_at = :now
FROM late WHERE g.gateway_id = late.gateway_id;

-- name: unmark
-- Forgets that commands waited, where none has waited since :before: the displays were removed, or other gateways serve
-- them. Forgets the proofs of gateways that have forwarded nothing since :before.
UPDATE gateways
SET unacked_since = CASE WHEN late_at >= :before THEN unacked_since END,
    late_at = CASE WHEN late_at >= :before THEN late_at END,
    proven_at = CASE WHEN last_seen_at >= :before THEN proven_at END
WHERE late_at < :before OR proven_at IS NOT NULL AND last_seen_at < :before;

-- name: alone
-- Tries to become the only one that reviews gateways, until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('baylight.gateways'));

-- name: troubled
-- Gateways behind which commands wait, that refuse, or whose tx_acks are lost; with the number of commands that wait now.
SELECT g.gateway_id, g.last_seen_at, g.last_ack_at, g.proven_at, g.unacked_since, g.late_at, g.refused_at, g.refusal, g.refusals,
       g.refused_dev_eui, coalesce(w.commands, 0) AS waiting
FROM gateways AS g
LEFT JOIN (
    SELECT d.gateway_id, count(*) AS commands
    FROM actuations AS a INNER JOIN displays_behind_gateways AS d ON d.id = a.display_device_id
    WHERE a.status = 'queued' GROUP BY d.gateway_id
) AS w ON w.gateway_id = g.gateway_id
WHERE g.unacked_since IS NOT NULL OR g.refusals > 0 OR g.proven_at > coalesce(g.last_ack_at, '-infinity')
ORDER BY g.gateway_id;

-- name: used
-- Airtime since :since by gateway and sub-band, of one gateway or of all.
SELECT gateway_id, sub_band, sum(frames)::bigint AS frames, sum(assumed_frames)::bigint AS assumed_frames,
       sum(airtime_ms) AS airtime_ms
FROM gateway_airtime
WHERE minute_at > :since AND (:gateway_id::text IS NULL OR gateway_id = :gateway_id)
GROUP BY gateway_id, sub_band
ORDER BY gateway_id, sub_band;

-- name: give_causes
-- Lays the conditions of displays that no command reaches beneath the condition of their gateway, one of :kinds. A cause
-- of another kind is a service: it stays.
UPDATE conditions AS c SET cause_kind = g.kind, cause_id = g.subject_id
FROM conditions AS g INNER JOIN display_devices AS d ON d.gateway_id = g.subject_id
WHERE g.ended_at IS NULL AND g.kind = ANY(:kinds::text[])
    AND c.ended_at IS NULL AND c.kind = 'display_undeliverable' AND c.subject_id = d.id::text
    AND (c.cause_kind IS NULL OR c.cause_kind = ANY(:kinds::text[]))
    AND (c.cause_kind, c.cause_id) IS DISTINCT FROM (g.kind, g.subject_id);
