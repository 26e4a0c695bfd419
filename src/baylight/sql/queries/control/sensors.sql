-- name: lock
-- Sensors that events name, locked in id order. :dev_euis is an `array_literal`.
SELECT s.network_server, s.application_id, s.dev_addr, s.last_f_cnt, s.heard_network_at AS last_uplink_at, s.first_f_cnt,
       s.frames_missing, s.reading_f_cnt, s.session, s.session_since, s.former_dev_addr, s.last_join_at,
       s.last_join_id::text AS last_join_id, s.id, s.dev_eui,
       coalesce(s.payload_decoder, t.codec) AS codec, s.occupancy, s.occupancy_at, s.free_from, s.damaged,
       s.battery_pct,
       s.enabled AND s.lifecycle_state <> 'decommissioned' AS usable,
       t.uplink_interval_s * t.silent_after_intervals AS deadline_s, s.ctid::text AS ctid
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE s.dev_eui = ANY(:dev_euis::text::text[])
ORDER BY s.id
FOR NO KEY UPDATE OF s;

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
    reading_f_cnt = coalesce(n.reading_f_cnt, n.f_cnt)
FROM json_to_recordset(:rows::json) AS n (
    id uuid, ctid tid, last_uplink_at timestamptz, rssi_dbm smallint, snr_db real, gateway_id text, battery_v real,
    f_cnt bigint, occupancy text, occupancy_at timestamptz, reading_f_cnt bigint
)
WHERE s.ctid = n.ctid AND s.id = n.id;

-- name: update_facts
-- Writes the columns of sensors that seldom change, and their sessions as a whole.
UPDATE sensor_devices AS s
SET dev_addr = n.dev_addr, former_dev_addr = n.former_dev_addr, last_f_cnt = n.last_f_cnt,
    first_f_cnt = n.first_f_cnt, frames_missing = n.frames_missing, reading_f_cnt = n.reading_f_cnt,
    session = n.session, session_since = n.session_since, heard_network_at = n.last_uplink_at, last_join_id = n.last_join_id::uuid,
    occupancy = n.occupancy, occupancy_at = n.occupancy_at, application_id = coalesce(n.application_id, s.application_id),
    battery_pct = coalesce(n.battery_pct, s.battery_pct), last_join_at = coalesce(n.last_join_at, s.last_join_at),
    damaged = n.damaged, free_from = n.free_from, network_server = n.network_server
FROM json_to_recordset(:rows::json) AS n (
    id uuid, network_server text, damaged boolean, frames_missing bigint, reading_f_cnt bigint, session integer, dev_addr text,
    former_dev_addr text, last_uplink_at timestamptz, last_f_cnt bigint, first_f_cnt bigint, session_since timestamptz,
    application_id text, battery_pct real, last_join_at timestamptz, last_join_id text, occupancy text,
    occupancy_at timestamptz, free_from timestamptz
)
WHERE s.id = n.id;
