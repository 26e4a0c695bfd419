-- What is wrong with displays, sensors, gateways and services: since when, on what evidence, by which common cause.

CREATE TABLE conditions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL,
    subject_id text NOT NULL,
    since timestamptz NOT NULL,
    evidence text NOT NULL,
    cause_kind text,
    cause_id text,
    ended_at timestamptz,
    CONSTRAINT conditions_kind CHECK (
        kind IN (
            'display_silent', 'display_wrong', 'display_misconfigured', 'display_undeliverable',
            'display_commanded_by_other', 'display_not_class_c', 'display_waits_for_uplink', 'display_disabled',
            'display_refused', 'sensor_silent', 'sensor_refused', 'sensor_frames_missing', 'sensor_undecodable',
            'codec_suspended', 'gateway_refuses', 'gateway_no_ack', 'gateway_airtime', 'network_server_away',
            'network_server_key_refused', 'network_server_not_set', 'broker_away', 'broker_forbids_publishing',
            'broker_session_lost', 'broker_client_id_shared', 'broker_qos_0', 'no_events', 'messages_refused',
            'database_away', 'backlog', 'sandbox_away'
        )
    ),
    CONSTRAINT conditions_evidence CHECK (length(evidence) <= 2000),
    CONSTRAINT conditions_cause CHECK ((cause_kind IS NULL) = (cause_id IS NULL)),
    CONSTRAINT conditions_ended_after_since CHECK (ended_at >= since)
);
COMMENT ON COLUMN conditions.subject_id IS 'UUID of a device, id of a gateway, or name of a service; the kind says which';
COMMENT ON COLUMN conditions.since IS 'a retry of what is done about it does not change it';
COMMENT ON COLUMN conditions.cause_kind IS 'kind of the common cause, if it stands beneath another condition; cause_id: that condition''s subject';
COMMENT ON COLUMN conditions.ended_at IS 'null while it lasts';
CREATE UNIQUE INDEX conditions_open ON conditions (subject_id, kind) WHERE ended_at IS NULL;
CREATE INDEX conditions_ended ON conditions (ended_at) WHERE ended_at IS NOT NULL;
