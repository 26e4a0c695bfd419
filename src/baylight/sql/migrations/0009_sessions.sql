-- Order of a device's frames by their counter within a session, and the frames that are missing.
ALTER TABLE sensor_devices
ADD COLUMN first_f_cnt bigint,
ADD COLUMN frames_missing bigint NOT NULL DEFAULT 0,
ADD COLUMN reading_f_cnt bigint NOT NULL DEFAULT '-1',
ADD COLUMN session integer NOT NULL DEFAULT 0,
ADD COLUMN session_since timestamptz,
ADD COLUMN former_dev_addr varchar(8),
ADD COLUMN last_join_id uuid;
ALTER TABLE display_devices
ADD COLUMN first_f_cnt bigint,
ADD COLUMN frames_missing bigint NOT NULL DEFAULT 0,
ADD COLUMN reading_f_cnt bigint NOT NULL DEFAULT '-1',
ADD COLUMN session integer NOT NULL DEFAULT 0,
ADD COLUMN session_since timestamptz,
ADD COLUMN former_dev_addr varchar(8),
ADD COLUMN last_join_id uuid;
ALTER TABLE uplinks ADD COLUMN session integer;
COMMENT ON COLUMN uplinks.session IS 'number of the device''s session that the frame belongs to; null: 0';
COMMENT ON COLUMN sensor_devices.session IS 'number of the LoRaWAN session: joins, new addresses and counter restarts so far';
COMMENT ON COLUMN sensor_devices.first_f_cnt IS 'lowest known frame counter of the session; null: not known';
COMMENT ON COLUMN sensor_devices.frames_missing IS 'counters between first_f_cnt and last_f_cnt that no stored uplink has';
COMMENT ON COLUMN sensor_devices.reading_f_cnt IS 'counter of the newest reading; -1: it is of an earlier session, or there is none';
COMMENT ON COLUMN sensor_devices.session_since IS 'arrival of the join, or of the first uplink after a new address or a counter restart';
COMMENT ON COLUMN sensor_devices.former_dev_addr IS 'address of the session before; the same as dev_addr after a counter restart';
COMMENT ON COLUMN sensor_devices.last_join_id IS 'deduplication id of the newest join';
COMMENT ON COLUMN sensor_devices.heard_network_at IS 'time of the newest uplink in the order of counters, by the network server''s clock or ours';
COMMENT ON COLUMN display_devices.reading_f_cnt IS 'counter of the newest report; -1: it is of an earlier session, or there is none';
