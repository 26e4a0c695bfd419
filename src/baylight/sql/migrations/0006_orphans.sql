-- Devices that are heard but not registered; and which network server brought an uplink.
CREATE TABLE orphans (
    dev_eui varchar(16) PRIMARY KEY,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    uplinks bigint NOT NULL,
    hour_at timestamptz NOT NULL,
    uplinks_in_hour integer NOT NULL,
    network_server text NOT NULL,
    application_id text,
    device_name text,
    profile_name text,
    dev_addr varchar(8),
    gateway_id varchar(16),
    rssi_dbm smallint,
    snr_db real,
    f_port smallint,
    data bytea,
    ignored boolean NOT NULL DEFAULT false,
    CONSTRAINT orphans_dev_eui CHECK (
        length(dev_eui) = 16 AND translate(dev_eui, '0123456789abcdef', '') = ''
    )
) WITH (fillfactor = 70);
COMMENT ON TABLE orphans IS 'inbox: one row per unknown device, whatever it sends; the rest is that of its newest uplink';
COMMENT ON COLUMN orphans.uplinks IS 'all that came, also those that were not stored';
COMMENT ON COLUMN orphans.uplinks_in_hour IS 'in the hour that began at hour_at: beyond a few they are counted alone';
COMMENT ON COLUMN orphans.data IS 'of the newest uplink with data';
CREATE INDEX orphans_last ON orphans (last_at);

ALTER TABLE uplinks ADD COLUMN network_server text NOT NULL DEFAULT 'chirpstack';
COMMENT ON COLUMN uplinks.network_server IS 'the first that brought it: a frame that two of them heard is one uplink';
