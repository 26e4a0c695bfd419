-- name: lock
-- Displays by id or by DevEUI, with all that the closed loop reads, locked in id order. Both lists are `array_literal`s.
-- One array, not OR: ids are nearly all there is, and a second index would be read for each of them.
SELECT d.network_server, d.application_id, d.dev_addr, d.last_f_cnt, d.heard_network_at AS last_uplink_at, d.first_f_cnt,
       d.frames_missing, d.reading_f_cnt, d.session, d.session_since, d.former_dev_addr, d.last_join_at,
       d.last_join_id::text AS last_join_id, d.id, d.dev_eui, t.codec, d.display_codes AS codes,
       d.fport AS f_port, d.confirmed_downlinks AS confirmed,
       d.enabled AND d.lifecycle_state <> 'decommissioned' AS usable,
       coalesce((t.default_config ->> 'reports')::boolean, false) AS reports,
       coalesce((t.default_config ->> 'ask_report')::boolean, true) AS asks_report,
       (t.capabilities ->> 'class') IS NOT DISTINCT FROM 'A' AS class_a,
       t.uplink_interval_s * t.silent_after_intervals AS silent_after_s, d.shared_rule AS rule,
       d.desired_state, d.desired_code, d.desired_at, d.commanded_actuation_id AS commanded_id, d.reported_code,
       d.reported_at, d.possible_code, d.possible_until, d.others_until, d.unknown_until, d.down_f_cnt,
       d.down_queue_id, d.answer_s, d.tx_ack_s, d.drifts, d.drifted_at, d.sync_status, d.resend_after_uplink,
       d.failures, d.reconcile_at, d.shared,
       EXISTS (SELECT FROM conditions AS c WHERE c.subject_id = d.id::text AND c.ended_at IS NULL) AS troubled,
       d.gateway_id AS sent_through
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = ANY(
    :ids::text::uuid[] || ARRAY(SELECT e.id FROM display_devices AS e WHERE e.dev_eui = ANY(:dev_euis::text::text[]))
)
ORDER BY d.id
FOR NO KEY UPDATE OF d;

-- name: lock_due
-- Displays that the closed loop must look at, locked. Skips displays whose lock is held by others.
SELECT id FROM display_devices
WHERE reconcile_at <= :now
ORDER BY reconcile_at
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED;

-- name: unfinished_actuations
-- Actuations of displays that are not at an end, oldest first; the pending ones only if :pending. :display_ids is an
-- `array_literal`.
SELECT id, space_id, trigger_type, trigger_source, previous_state, new_state, display_device_id AS display_id,
       display_code AS code, fport AS f_port, confirmed, created_at, status, downlink_error AS error,
       downlink_queue_id AS queue_id, retry_count, next_attempt_at, expires_at, sent_at, transmitted_at, confirmed_at,
       shown_at, claimed_at
FROM actuations
WHERE display_device_id = ANY(:display_ids::text::uuid[])
  AND status IN ('pending', 'sending', 'queued', 'transmitted', 'acknowledged')
  AND (:pending OR status <> 'pending')
ORDER BY id;

-- name: spaces_served
-- The live space that each display serves; of a shared display, the first by code.
SELECT DISTINCT ON (display_device_id) display_device_id AS display_id, id AS space_id
FROM spaces
WHERE display_device_id = ANY(:display_ids::uuid[]) AND deleted_at IS NULL
ORDER BY display_device_id, code;

-- name: spaces_of_shared
-- The live spaces of shared displays, with their states.
SELECT display_device_id AS display_id, id AS space_id, current_state AS state FROM spaces
WHERE display_device_id = ANY(:display_ids::uuid[]) AND deleted_at IS NULL
ORDER BY code;

-- name: update
-- Writes what is desired of displays, and how far the loop is.
UPDATE display_devices AS d
SET desired_state = n.desired_state, desired_code = n.desired_code, desired_at = n.desired_at,
    commanded_actuation_id = n.commanded_actuation_id, sync_status = n.sync_status,
    resend_after_uplink = n.resend_after_uplink, failures = n.failures, reconcile_at = n.reconcile_at,
    possible_code = n.possible_code, possible_until = n.possible_until, others_until = n.others_until,
    unknown_until = n.unknown_until, down_f_cnt = n.down_f_cnt, down_queue_id = n.down_queue_id,
    answer_s = n.answer_s, tx_ack_s = n.tx_ack_s, drifts = n.drifts, drifted_at = n.drifted_at
FROM json_to_recordset(:rows::json) AS n (
    id uuid, sync_status text, resend_after_uplink boolean, failures integer, drifts integer, desired_state text,
    desired_code text, desired_at timestamptz, commanded_actuation_id uuid, reconcile_at timestamptz,
    possible_code text, possible_until timestamptz, others_until timestamptz, down_f_cnt bigint, down_queue_id text,
    answer_s real, tx_ack_s real, drifted_at timestamptz, unknown_until timestamptz
)
WHERE d.id = n.id;

-- name: update_facts
-- Writes what displays reported, their sessions, and the facts of their newest uplinks.
UPDATE display_devices AS d
SET reported_code = n.reported_code, reported_at = n.reported_at, last_join_at = n.last_join_at,
    last_join_id = n.last_join_id::uuid, heard_network_at = n.last_uplink_at, dev_addr = n.dev_addr,
    former_dev_addr = n.former_dev_addr, last_f_cnt = n.last_f_cnt, first_f_cnt = n.first_f_cnt,
    frames_missing = n.frames_missing, reading_f_cnt = n.reading_f_cnt, session = n.session, session_since = n.session_since,
    network_server = n.network_server, application_id = n.application_id,
    last_seen_at = coalesce(n.seen_at, d.last_seen_at), rssi_dbm = coalesce(n.rssi_dbm, d.rssi_dbm),
    snr_db = coalesce(n.snr_db, d.snr_db), gateway_id = coalesce(n.gateway_id, d.gateway_id),
    battery_pct = coalesce(n.battery_pct, d.battery_pct), firmware = coalesce(n.firmware, d.firmware)
FROM json_to_recordset(:rows::json) AS n (
    id uuid, network_server text, frames_missing bigint, reading_f_cnt bigint, session integer, application_id text, dev_addr text,
    former_dev_addr text, last_f_cnt bigint, first_f_cnt bigint, session_since timestamptz, reported_code text,
    reported_at timestamptz, last_join_at timestamptz, last_join_id text, last_uplink_at timestamptz, seen_at timestamptz,
    rssi_dbm smallint, snr_db real, gateway_id text, battery_pct real, firmware text
)
WHERE d.id = n.id;

-- name: update_actuations
-- Writes the delivery of actuations. :ids (an `array_literal`) repeats their ids, so that the planner sees which
-- partitions they are in and how few they are.
UPDATE actuations AS a
SET status = n.status, downlink_error = n.error, downlink_queue_id = n.queue_id, retry_count = n.retry_count,
    next_attempt_at = n.next_attempt_at, expires_at = n.expires_at, sent_at = n.sent_at,
    downlink_sent = n.sent_at IS NOT NULL,
    response_time_ms = extract(epoch FROM n.sent_at - a.created_at) * 1000,
    transmitted_at = n.transmitted_at, confirmed_at = n.confirmed_at, shown_at = n.shown_at,
    claimed_at = n.claimed_at, superseded_by = n.superseded_by
FROM json_to_recordset(:rows::json) AS n (
    id uuid, status text, retry_count integer, error text, queue_id text, next_attempt_at timestamptz,
    expires_at timestamptz, sent_at timestamptz, transmitted_at timestamptz, confirmed_at timestamptz,
    shown_at timestamptz, claimed_at timestamptz, superseded_by uuid
)
WHERE a.id = n.id AND a.id = ANY(:ids::text::uuid[]);

-- name: insert_steps
-- Appends steps. A network event that is stored already changes nothing; a late one finds its actuation by queue item.
INSERT INTO actuation_events (
    at, actuation_id, dev_eui, kind, attempt, downlink_queue_id, downlink_id, f_cnt_down, gateway_id, detail, event_key
)
SELECT n.at, coalesce(n.actuation_id, a.id), n.dev_eui, n.kind, n.attempt, n.queue_id, n.downlink_id, n.f_cnt_down,
       n.gateway_id, n.detail, n.event_key
FROM json_to_recordset(:rows::json) AS n (
    at timestamptz, dev_eui text, kind text, actuation_id uuid, attempt integer, queue_id text, downlink_id bigint,
    f_cnt_down bigint, gateway_id text, detail text, event_key text
)
LEFT JOIN actuations AS a ON n.actuation_id IS NULL AND a.downlink_queue_id = n.queue_id
ON CONFLICT (event_key) DO NOTHING;

-- name: update_display_states
-- Writes what displays are known to show to the locked spaces (:space_ids) that they serve. :display_ids and :states
-- have the same order.
UPDATE spaces AS s SET display_state = n.state, display_state_at = :now
FROM unnest(:display_ids::uuid[], :states::text[]) AS n (display_id, state)
WHERE s.id = ANY(:space_ids::uuid[]) AND s.display_device_id = n.display_id AND s.display_state IS DISTINCT FROM n.state;

-- name: own_queue_items
-- Actuations of ours, at an end or not, by queue item.
SELECT downlink_queue_id AS queue_id, trigger_type, display_code AS code FROM actuations
WHERE downlink_queue_id = ANY(:queue_ids::text[]);

-- name: lock_failing
-- Displays whose tries failed, or whose command was not accepted and waits for its next try, locked in id order, for the
-- end of their back-offs. Skips displays whose lock is held.
SELECT id FROM display_devices
WHERE (
    failures > 0 AND reconcile_at > :now
    OR id IN (SELECT a.display_device_id FROM actuations AS a WHERE a.status = 'pending' AND a.next_attempt_at > :now)
) AND (:gateway_id::text IS NULL OR gateway_id = :gateway_id)
ORDER BY id
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED;

-- name: mark_unproven
-- Makes displays in sync unproven whose newest report is not newer than the losses since :since. They are due one after
-- another behind each gateway. Locks them in id order.
WITH concerned AS (
    SELECT id, row_number() OVER (PARTITION BY gateway_id ORDER BY id) AS place FROM (
        SELECT id, gateway_id FROM display_devices
        WHERE sync_status = 'in_sync' AND network_server = :network_server
            AND (unknown_until IS NULL OR unknown_until < :since)
        ORDER BY id FOR NO KEY UPDATE
    ) AS locked
)
UPDATE display_devices AS d
SET unknown_until = clock_timestamp(), sync_status = 'pending',
    reconcile_at = clock_timestamp() + c.place * interval '1 second'
FROM concerned AS c WHERE c.id = d.id;
