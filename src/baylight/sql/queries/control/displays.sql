-- name: lock_displays
-- Displays with all that the closed loop needs of them, locked in id order; read by position. $1 ids, `array_literal`.
SELECT d.id, d.dev_eui, d.display_codes, d.fport, d.confirmed_downlinks, d.application_id, d.network_server,
       d.enabled AND d.lifecycle_state <> 'decommissioned' AS usable,
       d.desired_state, d.desired_code, d.desired_at, d.commanded_actuation_id, d.reported_code, d.reported_at,
       d.sync_status, d.resend_after_uplink, d.failures, d.reconcile_at, d.last_join_at, d.heard_network_at,
       d.dev_addr, d.last_f_cnt, d.shared, d.shared_rule, t.codec, t.uplink_interval_s * t.silent_after_intervals AS silent_s,
       coalesce((t.default_config ->> 'ask_report')::boolean, true) AS ask_report,
       coalesce((t.default_config ->> 'reports')::boolean, false) AS reports
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.id = ANY($1::text::uuid[])
ORDER BY d.id
FOR NO KEY UPDATE OF d;

-- name: waiting_actuations
-- Actuations of displays that are not at an end, oldest first; read by position. $1 display ids, `array_literal`, $2 whether the
-- pending ones too.
SELECT id, space_id, trigger_type, trigger_source, previous_state, new_state, display_device_id, display_code, fport,
       confirmed, created_at, status, downlink_error, downlink_queue_id, retry_count, next_attempt_at, expires_at,
       sent_at, transmitted_at, confirmed_at, shown_at
FROM actuations
WHERE display_device_id = ANY($1::text::uuid[])
  AND status IN ('pending', 'sending', 'queued', 'transmitted', 'acknowledged')
  AND ($2 OR status <> 'pending')
ORDER BY id;

-- name: space_of_displays
-- The live space that each display serves (of a shared one, the first). $1 display ids.
SELECT DISTINCT ON (display_device_id) display_device_id, id AS space_id
FROM spaces
WHERE display_device_id = ANY($1::uuid[]) AND deleted_at IS NULL
ORDER BY display_device_id, code;

-- name: spaces_of_shared
-- The live spaces of displays that are shared. $1 display ids.
SELECT display_device_id, id, current_state FROM spaces
WHERE display_device_id = ANY($1::uuid[]) AND deleted_at IS NULL
ORDER BY code;

-- name: displays_to_send
-- Displays with a due actuation and none outstanding, longest waiting first. $1 now, $2 most.
SELECT a.display_device_id AS id
FROM actuations AS a
WHERE a.status = 'pending' AND a.next_attempt_at <= $1
  AND NOT EXISTS (
      SELECT 1 FROM actuations AS o
      WHERE o.display_device_id = a.display_device_id AND o.status IN ('sending', 'queued')
  )
ORDER BY a.next_attempt_at
LIMIT $2;

-- name: displays_to_reconcile
-- Displays that the closed loop must look at. $1 now, $2 most.
SELECT id FROM display_devices WHERE reconcile_at <= $1 ORDER BY reconcile_at LIMIT $2;

-- name: lost_senders
-- Actuations whose sender never told the outcome. $1 now, $2 most.
SELECT id, display_device_id, display_deveui, expires_at FROM actuations
WHERE status = 'sending' AND next_attempt_at <= $1
ORDER BY id
LIMIT $2;

-- name: update_displays
-- What is wanted of displays, and how far it is. $1 rows.
UPDATE display_devices AS d
SET desired_state = n.desired_state, desired_code = n.desired_code, desired_at = n.desired_at,
    commanded_actuation_id = n.commanded_actuation_id, sync_status = n.sync_status,
    resend_after_uplink = n.resend_after_uplink, failures = n.failures, reconcile_at = n.reconcile_at
FROM json_to_recordset($1::json) AS n (
    id uuid, desired_state text, desired_code text, desired_at timestamptz, commanded_actuation_id uuid,
    sync_status text, resend_after_uplink boolean, failures integer, reconcile_at timestamptz
)
WHERE d.id = n.id;

-- name: update_reports
-- What displays told. $1 rows.
UPDATE display_devices AS d
SET reported_code = n.reported_code, reported_at = n.reported_at, last_join_at = n.last_join_at,
    heard_network_at = n.heard_network_at, dev_addr = n.dev_addr, last_f_cnt = n.last_f_cnt
FROM json_to_recordset($1::json) AS n (
    id uuid, reported_code text, reported_at timestamptz, last_join_at timestamptz, heard_network_at timestamptz,
    dev_addr text, last_f_cnt bigint
)
WHERE d.id = n.id;

-- name: update_actuations
-- Writes delivery columns. $1 rows, $2 their ids, `array_literal`: so the planner sees which partitions and how few rows they are.
UPDATE actuations AS a
SET status = n.status, downlink_error = n.error, downlink_queue_id = n.queue_id, retry_count = n.retry_count,
    next_attempt_at = n.next_attempt_at, expires_at = n.expires_at, sent_at = n.sent_at,
    downlink_sent = n.sent_at IS NOT NULL,
    response_time_ms = extract(epoch FROM n.sent_at - a.created_at) * 1000,
    transmitted_at = n.transmitted_at, confirmed_at = n.confirmed_at, shown_at = n.shown_at,
    superseded_by = n.superseded_by
FROM json_to_recordset($1::json) AS n (
    id uuid, status text, error text, queue_id text, retry_count integer, next_attempt_at timestamptz,
    expires_at timestamptz, sent_at timestamptz, transmitted_at timestamptz, confirmed_at timestamptz,
    shown_at timestamptz, superseded_by uuid
)
WHERE a.id = n.id AND a.id = ANY($2::text::uuid[]);

-- name: insert_steps
-- Appends steps; a network event that is known already changes nothing, a late one finds its ended actuation.
INSERT INTO actuation_events (
    at, actuation_id, dev_eui, kind, attempt, downlink_queue_id, downlink_id, f_cnt_down, gateway_id, detail, event_key
)
SELECT n.at, coalesce(n.actuation_id, a.id), n.dev_eui, n.kind, n.attempt, n.queue_id, n.downlink_id, n.f_cnt_down,
       n.gateway_id, n.detail, n.event_key
FROM unnest(
    $1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::bigint[],
    $9::text[], $10::text[], $11::text[]
) AS n (
    at, actuation_id, dev_eui, kind, attempt, queue_id, downlink_id, f_cnt_down, gateway_id, detail, event_key
)
LEFT JOIN actuations AS a ON n.actuation_id IS NULL AND a.downlink_queue_id = n.queue_id
ON CONFLICT (event_key) DO NOTHING;

-- name: unmatched_steps
-- Network events that came before the answer to the enqueue call. $1 queue item ids.
SELECT id, at, kind, downlink_queue_id, detail FROM actuation_events
WHERE downlink_queue_id = ANY($1::text[]) AND actuation_id IS NULL
ORDER BY id;

-- name: unmatched_of_display
-- The same for one display whose sender was lost. $1 dev_eui, $2 since.
SELECT downlink_queue_id FROM actuation_events
WHERE dev_eui = $1 AND actuation_id IS NULL AND kind = 'tx_ack' AND received_at >= $2
ORDER BY id DESC
LIMIT 1;

-- name: match_steps
-- $1 queue item ids, $2 actuation ids (same order).
UPDATE actuation_events AS e SET actuation_id = n.actuation_id
FROM unnest($1::text[], $2::uuid[]) AS n (queue_id, actuation_id)
WHERE e.downlink_queue_id = n.queue_id AND e.actuation_id IS NULL;

-- name: update_display_states
-- What displays are known to show, for the locked spaces ($4) that they serve. $1 display ids, $2 states, $3 at.
UPDATE spaces AS s SET display_state = n.state, display_state_at = $3
FROM unnest($1::uuid[], $2::text[]) AS n (display_id, state)
WHERE s.id = ANY($4::uuid[]) AND s.display_device_id = n.display_id AND s.display_state IS DISTINCT FROM n.state;
