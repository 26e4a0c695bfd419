-- name: list_uplinks
-- Uplinks of a device, the newest first; all, or those before an uplink; in [:from_at, :until_at).
SELECT
    dev_eui, deduplication_id, observed_at, network_at, received_at, f_cnt, f_port, encode(data, 'hex') AS data,
    reading, occupancy, outcome, error, rssi_dbm, snr_db, gateway_id
FROM uplinks
WHERE dev_eui = :dev_eui
    AND (:before::timestamptz IS NULL OR (received_at, deduplication_id) < (:before, :before_id::uuid))
    AND (:from_at::timestamptz IS NULL OR received_at >= :from_at) AND (:until_at::timestamptz IS NULL OR received_at < :until_at)
ORDER BY received_at DESC, deduplication_id DESC
LIMIT :limit;

-- name: list_state_changes
-- State changes of all spaces, the newest first; all, or those before a change; in [:from_at, :until_at).
SELECT
    c.id, s.code AS space, c."timestamp" AS at, c.previous_state, c.new_state, c.reason, c.source AS trigger_type,
    c.trigger_source, c.uplink_observed_at, c.considered
FROM state_changes AS c INNER JOIN spaces AS s ON s.id = c.space_id
WHERE (:before_id::bigint IS NULL OR c.id < :before_id)
    AND (:from_at::timestamptz IS NULL OR c."timestamp" >= :from_at) AND (:until_at::timestamptz IS NULL OR c."timestamp" < :until_at)
ORDER BY c.id DESC
LIMIT :limit;

-- name: list_state_changes_of_space
-- State changes of a space, the newest first; all, or those before a change; in [:from_at, :until_at).
SELECT
    c.id, s.code AS space, c."timestamp" AS at, c.previous_state, c.new_state, c.reason, c.source AS trigger_type,
    c.trigger_source, c.uplink_observed_at, c.considered
FROM state_changes AS c INNER JOIN spaces AS s ON s.id = c.space_id
WHERE c.space_id = :space_id AND (:before::timestamptz IS NULL OR (c."timestamp", c.id) < (:before, :before_id::bigint))
    AND (:from_at::timestamptz IS NULL OR c."timestamp" >= :from_at) AND (:until_at::timestamptz IS NULL OR c."timestamp" < :until_at)
ORDER BY c."timestamp" DESC, c.id DESC
LIMIT :limit;

-- name: list_actuations
-- Actuations of all spaces, the newest first; all, or those before an actuation, of a display, or in a status; in [:from_at, :until_at).
SELECT
    a.id, s.code AS space, a.display_deveui AS display_dev_eui, a.trigger_type, a.trigger_source, a.previous_state,
    a.new_state, a.display_code, a.fport AS f_port, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id,
    a.retry_count, a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms,
    a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE (:before_id::uuid IS NULL OR a.id < :before_id)
    AND (:display_dev_eui::text IS NULL OR a.display_deveui = :display_dev_eui)
    AND (:status::text IS NULL OR a.status = :status)
    AND (:from_at::timestamptz IS NULL OR a.id >= uuid7_floor(:from_at))
    AND (:until_at::timestamptz IS NULL OR a.id < uuid7_floor(:until_at))
    AND (:from_at::timestamptz IS NULL OR a.created_at >= :from_at) AND (:until_at::timestamptz IS NULL OR a.created_at < :until_at)
ORDER BY a.id DESC
LIMIT :limit;

-- name: list_actuations_of_space
-- Actuations of a space, the newest first; all, or those before an actuation, or in a status; in [:from_at, :until_at).
SELECT
    a.id, s.code AS space, a.display_deveui AS display_dev_eui, a.trigger_type, a.trigger_source, a.previous_state,
    a.new_state, a.display_code, a.fport AS f_port, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id,
    a.retry_count, a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms,
    a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE a.space_id = :space_id AND (:before::timestamptz IS NULL OR (a.created_at, a.id) < (:before, :before_id::uuid))
    AND (:status::text IS NULL OR a.status = :status)
    AND (:from_at::timestamptz IS NULL OR a.created_at >= :from_at) AND (:until_at::timestamptz IS NULL OR a.created_at < :until_at)
ORDER BY a.created_at DESC, a.id DESC
LIMIT :limit;

-- name: get_actuation
-- An actuation by its id.
SELECT
    a.id, s.code AS space, a.display_deveui AS display_dev_eui, a.trigger_type, a.trigger_source, a.previous_state,
    a.new_state, a.display_code, a.fport AS f_port, a.confirmed, a.status, a.downlink_error, a.downlink_queue_id,
    a.retry_count, a.created_at, a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at, a.response_time_ms,
    a.superseded_by
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE a.id = :id;

-- name: steps
-- The steps of an actuation, in order.
SELECT at, received_at, kind, attempt, downlink_queue_id, downlink_id, f_cnt_down, gateway_id, detail
FROM actuation_events WHERE actuation_id = :actuation_id ORDER BY id;
