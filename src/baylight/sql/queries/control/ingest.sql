-- name: lock_sensors
-- Sensors that events name, locked in id order; read by position. $1 dev_euis, `array_literal`.
SELECT s.id, s.dev_eui, coalesce(s.payload_decoder, t.codec) AS codec, s.occupancy, s.occupancy_at, s.free_from, s.damaged,
       s.heard_network_at, s.dev_addr, s.last_f_cnt, s.network_server, s.application_id, s.battery_pct,
       s.enabled AND s.lifecycle_state <> 'decommissioned' AS usable,
       t.uplink_interval_s * t.silent_after_intervals AS deadline_s, s.ctid::text AS lies_at
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE s.dev_eui = ANY($1::text::text[])
ORDER BY s.id
FOR NO KEY UPDATE OF s;

-- name: serving_sensors
-- Which sensors serve a space, whoever holds its lock. $1 sensor ids, `array_literal`.
SELECT DISTINCT sensor_device_id FROM spaces WHERE sensor_device_id = ANY($1::text::uuid[]) AND deleted_at IS NULL;

-- name: find_displays
-- Displays that events name; not locked yet. $1 dev_euis.
SELECT d.id, d.dev_eui, t.codec, d.dev_addr, d.last_f_cnt, d.network_server, d.application_id
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.dev_eui = ANY($1::text[]);

-- name: known_uplinks
-- Which uplinks are stored already. $1 observed_at, $2 deduplication ids (same order), $3 and $4 first and last observed_at.
SELECT u.observed_at, u.deduplication_id
FROM uplinks AS u
INNER JOIN unnest($1::timestamptz[], $2::uuid[]) AS n (observed_at, deduplication_id)
    ON u.observed_at = n.observed_at AND u.deduplication_id = n.deduplication_id
WHERE u.observed_at BETWEEN $3 AND $4;

-- name: known_copies
-- Which frames another network server brought already, by their place in the arrays: dev_euis, counters, FPorts, data,
-- network servers, times. $7 how far two servers' clocks may lie apart, $8 lower bound of observed_at: with an upper
-- one, too, or EXISTS, the planner would read days of uplinks instead of the device's index.
SELECT n.place
FROM unnest($1::text[], $2::bigint[], $3::smallint[], $4::bytea[], $5::text[], $6::timestamptz[])
    WITH ORDINALITY AS n (dev_eui, f_cnt, f_port, data, network_server, at, place)
CROSS JOIN LATERAL (
    SELECT FROM uplinks AS u
    WHERE u.dev_eui = n.dev_eui AND u.received_at >= n.at - $7::interval AND u.observed_at >= $8
        AND u.network_server <> n.network_server AND u.f_cnt = n.f_cnt AND u.f_port IS NOT DISTINCT FROM n.f_port
        AND u.data = n.data
        AND least(u.network_at, u.received_at) BETWEEN n.at - $7::interval AND n.at + $7::interval
    LIMIT 1
) AS u;

-- name: insert_strangers
-- Uplinks of devices that nobody registered: no row to lock, so a copy may come in at the same moment.
INSERT INTO uplinks (
    dev_eui, deduplication_id, observed_at, received_at, network_at, f_cnt, f_port, data, reading, occupancy,
    rssi_dbm, snr_db, gateway_id, outcome, error, network_server
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (observed_at, deduplication_id) DO NOTHING;

-- name: update_sensors
-- What was heard of sensors. $1 rows, as JSON: it is quicker to write and to read than an array for each column. $2 now.
-- A locked row stays where it was locked, until this transaction changes it: it is found there without an index.
UPDATE sensor_devices AS s
SET last_seen_at = $2, heard_network_at = n.heard_at, rssi_dbm = coalesce(n.rssi_dbm, s.rssi_dbm),
    snr_db = coalesce(n.snr_db, s.snr_db), gateway_id = coalesce(n.gateway_id, s.gateway_id),
    battery_v = coalesce(n.battery_v, s.battery_v), last_f_cnt = coalesce(n.f_cnt, s.last_f_cnt),
    occupancy = n.occupancy, occupancy_at = CASE WHEN n.occupancy IS NOT NULL THEN coalesce(n.occupancy_at, n.heard_at) END
FROM json_to_recordset($1::json) AS n (
    id uuid, lies_at tid, heard_at timestamptz, rssi_dbm smallint, snr_db real, gateway_id text, battery_v real,
    f_cnt bigint, occupancy text, occupancy_at timestamptz
)
WHERE s.ctid = n.lies_at AND s.id = n.id;

-- name: update_sensor_facts
-- What seldom changes. $1 rows.
UPDATE sensor_devices AS s
SET dev_addr = coalesce(n.dev_addr, s.dev_addr), application_id = coalesce(n.application_id, s.application_id),
    battery_pct = coalesce(n.battery_pct, s.battery_pct), last_join_at = coalesce(n.join_at, s.last_join_at),
    damaged = n.damaged, free_from = n.free_from, network_server = n.network_server
FROM json_to_recordset($1::json) AS n (
    id uuid, dev_addr text, application_id text, battery_pct real, join_at timestamptz, damaged boolean,
    free_from timestamptz, network_server text
)
WHERE s.id = n.id;

-- name: update_heard_displays
-- Radio facts of displays, whose rows the caller has locked. $1 rows.
UPDATE display_devices AS d
SET last_seen_at = coalesce(n.seen_at, d.last_seen_at), rssi_dbm = coalesce(n.rssi_dbm, d.rssi_dbm),
    snr_db = coalesce(n.snr_db, d.snr_db), gateway_id = coalesce(n.gateway_id, d.gateway_id), battery_pct = coalesce(n.battery_pct, d.battery_pct),
    application_id = coalesce(n.application_id, d.application_id), firmware = coalesce(n.firmware, d.firmware),
    network_server = n.network_server
FROM json_to_recordset($1::json) AS n (
    id uuid, seen_at timestamptz, rssi_dbm smallint, snr_db real, gateway_id text, battery_pct real,
    application_id text, firmware text, network_server text
)
WHERE d.id = n.id;

-- name: keep_rejected
-- A message that could not be read: once each, with the number of times that it came.
INSERT INTO rejected_messages AS r (digest, topic, payload, payload_bytes, reason, detail, first_at, last_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
ON CONFLICT (digest) DO UPDATE SET times = r.times + 1, last_at = excluded.last_at;

-- name: see_gateways
-- $1 gateway ids, $2 now.
INSERT INTO gateways AS g (gateway_id, first_seen_at, last_seen_at)
SELECT n, $2, $2 FROM unnest($1::text[]) AS n
ON CONFLICT (gateway_id) DO UPDATE SET last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at);

-- name: ensure_partition
-- $1 parent table, $2 an instant of the month.
SELECT ensure_partition($1, $2);
