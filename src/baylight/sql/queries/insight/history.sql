-- name: space_id
-- By code: the live space, else the one deleted last.
SELECT id FROM spaces WHERE code = $1 ORDER BY deleted_at DESC NULLS FIRST LIMIT 1;

-- name: uplinks
-- Of a device, the newest first, before ($2 received_at, $3 deduplication_id); at most $4.
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data,
    reading, occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = $1 AND ($2::timestamptz IS NULL OR (received_at, deduplication_id) < ($2, $3::uuid))
ORDER BY received_at DESC, deduplication_id DESC
LIMIT $4;

-- name: state_changes
-- The newest first, before id $1; at most $2.
SELECT
    c.id, s.code AS space, c."timestamp" AS at, c.previous_state, c.new_state, c.reason, c.source AS trigger_type,
    c.trigger_source, c.uplink_observed_at, c.considered
FROM state_changes AS c INNER JOIN spaces AS s ON s.id = c.space_id
WHERE $1::bigint IS NULL OR c.id < $1
ORDER BY c.id DESC
LIMIT $2;

-- name: state_changes_of_space
-- Of space $1, the newest first, before ($2 at, $3 id); at most $4.
SELECT
    c.id, s.code AS space, c."timestamp" AS at, c.previous_state, c.new_state, c.reason, c.source AS trigger_type,
    c.trigger_source, c.uplink_observed_at, c.considered
FROM state_changes AS c INNER JOIN spaces AS s ON s.id = c.space_id
WHERE c.space_id = $1 AND ($2::timestamptz IS NULL OR (c."timestamp", c.id) < ($2, $3::bigint))
ORDER BY c."timestamp" DESC, c.id DESC
LIMIT $4;

-- name: actuations
-- The newest first, before id $1, of a display $2 (DevEUI), in a status $3; at most $4.
SELECT
    a.id, s.code AS space, a.display_deveui AS display, a.trigger_type, a.trigger_source, a.previous_state, a.new_state,
    a.display_code, a.fport, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id, a.retry_count,
    a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms, a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE ($1::uuid IS NULL OR a.id < $1) AND ($2::text IS NULL OR a.display_deveui = $2)
    AND ($3::text IS NULL OR a.status = $3)
ORDER BY a.id DESC
LIMIT $4;

-- name: actuations_of_space
-- Of space $1, the newest first, before ($2 created_at, $3 id), in a status $4; at most $5.
SELECT
    a.id, s.code AS space, a.display_deveui AS display, a.trigger_type, a.trigger_source, a.previous_state, a.new_state,
    a.display_code, a.fport, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id, a.retry_count,
    a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms, a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE a.space_id = $1 AND ($2::timestamptz IS NULL OR (a.created_at, a.id) < ($2, $3::uuid))
    AND ($4::text IS NULL OR a.status = $4)
ORDER BY a.created_at DESC, a.id DESC
LIMIT $5;

-- name: actuation
-- One, by its id.
SELECT
    a.id, s.code AS space, a.display_deveui AS display, a.trigger_type, a.trigger_source, a.previous_state, a.new_state,
    a.display_code, a.fport, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id, a.retry_count,
    a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms, a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE a.id = $1;

-- name: steps
-- Every step of an actuation, in order.
SELECT at, received_at, kind, attempt, downlink_queue_id, downlink_id, f_cnt_down, gateway_id, detail
FROM actuation_events WHERE actuation_id = $1 ORDER BY id;
