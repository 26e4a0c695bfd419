-- name: lock
-- Sensors that events name, locked in id order. :dev_euis is an `array_literal`.
SELECT s.network_server, s.application_id, s.dev_addr, s.last_f_cnt, s.heard_network_at AS last_uplink_at, s.first_f_cnt,
       s.frames_missing, s.reading_f_cnt, s.session, s.session_since, s.former_dev_addr, s.last_join_at,
       s.last_join_id::text AS last_join_id, s.id, s.dev_eui,
       coalesce(s.payload_decoder, t.codec) AS codec, s.occupancy, s.occupancy_at, s.free_from, s.damaged,
       s.battery_pct,
       s.enabled AND s.lifecycle_state <> 'decommissioned' AS usable,
       t.uplink_interval_s * t.silent_after_intervals AS deadline_s, t.uplink_interval_s AS interval_s,
       s.unproven_reason, s.unproven_since, s.to_decode_since, s.refused, s.suspect_f_cnt, s.suspect_at,
       s.frames_since_gap, s.undecodable, s.ctid::text AS ctid
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE s.dev_eui = ANY(:dev_euis::text::text[])
ORDER BY s.id
FOR NO KEY UPDATE OF s;

-- name: views
-- What is known of sensors. `usable`: enabled and not decommissioned.
SELECT s.id, s.occupancy, s.occupancy_at, t.uplink_interval_s * t.silent_after_intervals AS deadline_s, s.damaged,
       s.free_from, t.uplink_interval_s AS interval_s, s.unproven_reason, s.unproven_since,
       s.to_decode_since, s.enabled AND s.lifecycle_state <> 'decommissioned' AS usable
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE s.id = ANY(:ids::uuid[]);

-- name: serving
-- Sensors that serve a live space. Reads without lock. :ids is an `array_literal`.
SELECT DISTINCT sensor_device_id FROM spaces
WHERE sensor_device_id = ANY(:ids::text::uuid[]) AND deleted_at IS NULL;

-- name: update
-- Writes the newest uplink of sensors. One JSON text is quicker to write and to read than an array for each column.
-- A locked row keeps its ctid until this transaction changes it: the row is found without an index.
UPDATE sensor_devices AS s
SET last_seen_at = :now, heard_network_at = n.last_uplink_at, rssi_dbm = coalesce(n.rssi_dbm, s.rssi_dbm),
    snr_db = coalesce(n.snr_db, s.snr_db), gateway_id = coalesce(n.gateway_id, s.gateway_id),
    battery_v = coalesce(n.battery_v, s.battery_v), last_f_cnt = coalesce(n.f_cnt, s.last_f_cnt),
    occupancy = n.occupancy,
    occupancy_at = CASE WHEN n.occupancy IS NOT NULL THEN coalesce(n.occupancy_at, n.last_uplink_at) END,
    reading_f_cnt = coalesce(n.reading_f_cnt, n.f_cnt), frames_missing = coalesce(n.frames_missing, 0)
FROM json_to_recordset(:rows::json) AS n (
    id uuid, ctid tid, last_uplink_at timestamptz, rssi_dbm smallint, snr_db real, gateway_id text, battery_v real,
    f_cnt bigint, occupancy text, occupancy_at timestamptz, reading_f_cnt bigint,
    frames_missing bigint
)
WHERE s.ctid = n.ctid AND s.id = n.id;

-- name: update_facts
-- Writes the columns of sensors that seldom change, their sessions as a whole, and readings that were decoded later.
UPDATE sensor_devices AS s
SET dev_addr = n.dev_addr, former_dev_addr = n.former_dev_addr, last_f_cnt = n.last_f_cnt,
    first_f_cnt = n.first_f_cnt, frames_missing = n.frames_missing, reading_f_cnt = n.reading_f_cnt,
    session = n.session, session_since = n.session_since, heard_network_at = n.last_uplink_at, last_join_id = n.last_join_id::uuid,
    occupancy = n.occupancy, occupancy_at = n.occupancy_at, application_id = coalesce(n.application_id, s.application_id),
    battery_pct = coalesce(n.battery_pct, s.battery_pct), last_join_at = coalesce(n.last_join_at, s.last_join_at),
    damaged = n.damaged, free_from = n.free_from, network_server = n.network_server,
    battery_v = coalesce(n.battery_v, s.battery_v)
FROM json_to_recordset(:rows::json) AS n (
    id uuid, network_server text, damaged boolean, frames_missing bigint, reading_f_cnt bigint, session integer, dev_addr text,
    former_dev_addr text, last_uplink_at timestamptz, last_f_cnt bigint, first_f_cnt bigint, session_since timestamptz,
    application_id text, battery_pct real, last_join_at timestamptz, last_join_id text, occupancy text,
    occupancy_at timestamptz, free_from timestamptz, battery_v real
)
WHERE s.id = n.id;

-- name: update_marks
-- Writes what is known of sensors' missing uplinks. A log line that repeats keeps its time.
UPDATE sensor_devices AS s
SET unproven_reason = n.unproven_reason, unproven_since = n.unproven_since, to_decode_since = n.to_decode_since,
    refused = n.refused, suspect_f_cnt = n.suspect_f_cnt, suspect_at = n.suspect_at,
    frames_since_gap = n.frames_since_gap, undecodable = n.undecodable,
    network_log = coalesce(n.network_log, s.network_log), network_log_at = coalesce(n.network_log_at, s.network_log_at)
FROM json_to_recordset(:rows::json) AS n (
    id uuid, refused boolean, undecodable smallint, unproven_reason text, unproven_since timestamptz,
    to_decode_since timestamptz, suspect_f_cnt bigint, suspect_at timestamptz, frames_since_gap smallint,
    network_log text, network_log_at timestamptz
)
WHERE s.id = n.id;

-- name: mark
-- Marks sensors with a reading unproven (:dev_euis, :network_server; null: all), and lets the timer decide their spaces.
-- A mark that holds is kept. Returns how many spaces are due. Locks in the order of the whole program: sensors, then
-- spaces, each by id.
WITH sensors AS (
    SELECT s.id FROM sensor_devices AS s
    WHERE s.unproven_since IS NULL AND s.occupancy IS NOT NULL
        AND (:dev_euis::text[] IS NULL OR s.dev_eui = ANY(:dev_euis::text[]))
        AND (:network_server::text IS NULL OR s.network_server = :network_server)
    ORDER BY s.id FOR NO KEY UPDATE
), marked AS (
    UPDATE sensor_devices AS s SET unproven_reason = :reason, unproven_since = :since
    FROM sensors AS n WHERE s.id = n.id RETURNING s.id
), served AS (
    SELECT s.id FROM spaces AS s
    WHERE s.deleted_at IS NULL AND s.sensor_device_id IN (SELECT m.id FROM marked AS m)
    ORDER BY s.id FOR NO KEY UPDATE
), due AS (
    UPDATE spaces AS s SET recompute_at = :since FROM served AS v WHERE s.id = v.id RETURNING s.id
)
SELECT count(*) FROM due;

-- name: begin_silent
-- Begins the condition `sensor_silent` of the sensors of spaces (:space_ids) that are silent. Idempotent.
INSERT INTO conditions (kind, subject_id, since, evidence)
SELECT DISTINCT 'sensor_silent', n.id::text, silent.since,
    'last report of the occupancy: ' || n.occupancy || ' at ' || to_char(n.occupancy_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
FROM spaces AS s
INNER JOIN sensor_devices AS n ON n.id = s.sensor_device_id
INNER JOIN device_types AS t ON t.code = n.device_type
CROSS JOIN LATERAL (
    SELECT n.occupancy_at + make_interval(secs => t.uplink_interval_s * t.silent_after_intervals) AS since
) AS silent
WHERE s.id = ANY(:space_ids::uuid[]) AND s.deleted_at IS NULL AND n.enabled AND n.occupancy IS NOT NULL
    AND NOT n.refused AND n.to_decode_since IS NULL AND silent.since <= :now
ON CONFLICT (subject_id, kind) WHERE ended_at IS NULL DO NOTHING;
