-- name: spaces
-- Live spaces by code with what decisions read, without locks: one, or a page after a code.
SELECT id, code, location_id, sensor_device_id AS sensor_id, display_device_id AS display_id, current_state AS state,
       state_reason AS reason, sensor_state, default_state, maintenance, recompute_at, unproven_reason,
       unproven_since, unproven_until, ctid::text AS ctid
FROM spaces
WHERE deleted_at IS NULL AND (:code::text IS NULL OR code = :code) AND (:after::text IS NULL OR code > :after)
ORDER BY code
LIMIT :limit;

-- name: uplink
-- The newest uplink of a device that is not `stale`; or the newest with an occupancy that Baylight trusted.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data, reading,
    occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = :dev_eui AND outcome <> 'stale'
    AND (NOT :with_occupancy::boolean OR (occupancy IS NOT NULL AND outcome NOT IN ('device_disabled', 'unknown_device')))
ORDER BY received_at DESC
LIMIT 1;

-- name: waiting
-- The newest uplinks of a device that wait for their codec.
SELECT
    u.dev_eui, u.deduplication_id, u.observed_at, u.network_at, u.received_at, u.f_cnt, u.f_port,
    encode(u.data, 'hex') AS data, u.reading, u.occupancy, u.outcome, u.error, u.rssi_dbm, u.snr_db, u.gateway_id
FROM uplinks_to_decode AS q
INNER JOIN uplinks AS u ON u.observed_at = q.observed_at AND u.deduplication_id = q.deduplication_id
WHERE q.dev_eui = :dev_eui
ORDER BY q.received_at DESC
LIMIT :limit;

-- name: cause_uplink
-- The uplink that caused a state change.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data, reading,
    occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks WHERE observed_at = :observed_at AND deduplication_id::text = :trigger_source;

-- name: codec
-- The codec of the display of an actuation.
SELECT t.codec FROM actuations AS a
INNER JOIN display_devices AS d ON d.id = a.display_device_id
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE a.id = :actuation_id;

-- name: commanded
-- The command that the network server received last for a display.
SELECT a.new_state AS state, a.display_code AS code, a.sent_at AS at
FROM display_devices AS d INNER JOIN actuations AS a ON a.id = d.commanded_actuation_id
WHERE d.dev_eui = :dev_eui;

-- name: closed
-- What closes a space: its own switch, and those of the locations above it, the nearest first, with who set it when. NULL:
-- the audit log has no record, as for a file that was imported.
WITH switch AS (
    SELECT 'space' AS place, s.code AS name, 'space' AS object_type, s.id, 1000 AS depth
    FROM spaces AS s WHERE s.code = :code AND s.deleted_at IS NULL AND s.maintenance
    UNION ALL
    SELECT 'location', named.path, 'location', node.id, part.depth
    FROM spaces AS s
    INNER JOIN locations AS l ON l.id = s.location_id
    CROSS JOIN LATERAL unnest(l.path) WITH ORDINALITY AS part (id, depth)
    INNER JOIN locations AS node ON node.id = part.id
    CROSS JOIN LATERAL (
        SELECT string_agg(a.name, '/' ORDER BY above.depth) AS path
        FROM unnest(node.path) WITH ORDINALITY AS above (id, depth) INNER JOIN locations AS a ON a.id = above.id
    ) AS named
    WHERE s.code = :code AND s.deleted_at IS NULL AND node.maintenance
)

SELECT w.place, w.name, set_.at AS since, set_.actor
FROM switch AS w
LEFT JOIN LATERAL (
    SELECT a.at, a.actor FROM audit_log AS a
    WHERE a.object_type = w.object_type AND a.object_id = w.id::text AND a.after ->> 'maintenance' = 'true'
    ORDER BY a.id DESC LIMIT 1
) AS set_ ON true
ORDER BY w.depth DESC;

-- name: cause
-- The reservation or override that decides a state, without personal data.
SELECT 'reservation' AS kind, id, NULL AS state, start_time AS from_at, end_time AS until_at, created_by AS actor, NULL AS reason
FROM reservations WHERE id = :id
UNION ALL
SELECT 'override', id, state, lower(valid), upper(valid), actor, reason FROM overrides WHERE id = :id;
