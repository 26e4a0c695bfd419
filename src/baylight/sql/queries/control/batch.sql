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
-- Stores a message that could not be read: one row for equal messages, with their number.
INSERT INTO rejected_messages AS r (digest, topic, payload, payload_bytes, reason, detail, first_at, last_at)
VALUES (:digest, :topic, :payload, :payload_bytes, :reason, :detail, :now, :now)
ON CONFLICT (digest) DO UPDATE SET times = r.times + 1, last_at = excluded.last_at;
