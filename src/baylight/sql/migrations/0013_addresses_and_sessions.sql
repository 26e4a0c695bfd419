-- Addresses that a topic can carry, and what is known of our sessions at brokers.

-- An unusable address is forgotten: the next uplink gives the right one.
UPDATE sensor_devices SET application_id = NULL
WHERE application_id !~ '^[!"$-*,.0-~-]{1,100}(/[!"$-*,.0-~-]{1,100})?$'
    OR (network_server = 'chirpstack' AND strpos(application_id, '/') > 0);
UPDATE display_devices SET application_id = NULL
WHERE application_id !~ '^[!"$-*,.0-~-]{1,100}(/[!"$-*,.0-~-]{1,100})?$'
    OR (network_server = 'chirpstack' AND strpos(application_id, '/') > 0);
UPDATE orphans SET application_id = NULL
WHERE application_id !~ '^[!"$-*,.0-~-]{1,100}(/[!"$-*,.0-~-]{1,100})?$'
    OR (network_server = 'chirpstack' AND strpos(application_id, '/') > 0);
ALTER TABLE sensor_devices ADD CONSTRAINT sensor_devices_application_id
CHECK (application_id ~ '^[!"$-*,.0-~-]{1,100}(/[!"$-*,.0-~-]{1,100})?$') NOT VALID;
ALTER TABLE display_devices ADD CONSTRAINT display_devices_application_id
CHECK (application_id ~ '^[!"$-*,.0-~-]{1,100}(/[!"$-*,.0-~-]{1,100})?$') NOT VALID;

CREATE TABLE broker_sessions (
    broker text NOT NULL,
    client_id text NOT NULL,
    filters text [] NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT broker_sessions_pkey PRIMARY KEY (broker, client_id)
);
COMMENT ON TABLE broker_sessions IS 'sessions that a broker keeps for us, so that the loss of one is noticed';
COMMENT ON COLUMN broker_sessions.broker IS 'name of the connection: broker, the_things_stack';
COMMENT ON COLUMN broker_sessions.filters IS 'topic filters that the session may be subscribed to';
