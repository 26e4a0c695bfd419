-- name: insert_stranger
-- Inserts an uplink of an unregistered device. No row of the device is locked, so a copy may be inserted at the same
-- moment.
INSERT INTO uplinks (
    dev_eui, deduplication_id, observed_at, received_at, network_at, f_cnt, f_port, data, reading, occupancy,
    rssi_dbm, snr_db, gateway_id, outcome, error, network_server, session
)
VALUES (
    :dev_eui, :deduplication_id, :observed_at, :received_at, :network_at, :f_cnt, :f_port, :data, :reading, :occupancy,
    :rssi_dbm, :snr_db, :gateway_id, :outcome, :error, :network_server, :session
)
ON CONFLICT (observed_at, deduplication_id) DO NOTHING;

-- name: insert_rejected
-- Stores a message that could not be read: one row for equal messages, with their number. While there are :max_rows
-- rows, new ones are not stored; retention makes room.
INSERT INTO rejected_messages AS r (digest, topic, payload, payload_bytes, reason, detail, first_at, last_at)
SELECT :digest, :topic, :payload, :payload_bytes, :reason, :detail, :now::timestamptz, :now
WHERE EXISTS (SELECT FROM rejected_messages WHERE digest = :digest)
    OR (SELECT count(*) FROM (SELECT FROM rejected_messages LIMIT :max_rows) AS stored) < :max_rows
ON CONFLICT (digest) DO UPDATE SET times = r.times + 1, last_at = excluded.last_at;

-- name: insert_to_decode
-- Keeps the uplinks whose codec has not answered yet.
INSERT INTO uplinks_to_decode (observed_at, deduplication_id, dev_eui, received_at, at, dev_addr, tries)
SELECT n.observed_at, n.deduplication_id::uuid, n.dev_eui, n.received_at, n.at, n.dev_addr, n.tries
FROM json_to_recordset(:rows::json) AS n (
    observed_at timestamptz, deduplication_id text, dev_eui text, received_at timestamptz, at timestamptz,
    dev_addr text, tries integer
);
