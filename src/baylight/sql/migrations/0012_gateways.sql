-- What gateways did with downlinks: acknowledgements, refusals, and the airtime that they used.

ALTER TABLE gateways
ADD COLUMN last_ack_at timestamptz,
ADD COLUMN unacked_since timestamptz,
ADD COLUMN late_at timestamptz,
ADD COLUMN refused_at timestamptz,
ADD COLUMN refused_made_at timestamptz,
ADD COLUMN refusal text,
ADD COLUMN refusals integer NOT NULL DEFAULT 0,
ADD COLUMN refused_dev_eui text;
COMMENT ON COLUMN gateways.last_ack_at IS 'arrival of its newest tx_ack; written at most each 5 s';
COMMENT ON COLUMN gateways.unacked_since IS 'since when commands have waited for its tx_ack; its next tx_ack sets null';
COMMENT ON COLUMN gateways.late_at IS 'when commands were last seen to wait; the gateway is silent from 60 s after unacked_since on';
COMMENT ON COLUMN gateways.refused_at IS 'arrival of its newest refusal';
COMMENT ON COLUMN gateways.refused_made_at IS 'its time by the network server''s clock: a redelivered refusal is not newer';
COMMENT ON COLUMN gateways.refusal IS 'the reason of its newest refusal, as the network server spells it';
COMMENT ON COLUMN gateways.refusals IS 'number of refusals since its last tx_ack';
COMMENT ON COLUMN gateways.refused_dev_eui IS 'display whose downlink it refused last';

-- One row for each minute: the sliding hour is the sum of sixty.
CREATE TABLE gateway_airtime (
    minute_at timestamptz NOT NULL,
    gateway_id text NOT NULL,
    sub_band text NOT NULL,
    frames bigint NOT NULL,
    assumed_frames bigint NOT NULL,
    airtime_ms double precision NOT NULL,
    CONSTRAINT gateway_airtime_pkey PRIMARY KEY (minute_at, gateway_id, sub_band)
) WITH (fillfactor = 70);
COMMENT ON COLUMN gateway_airtime.sub_band IS 'name in domain/airtime.py';
COMMENT ON COLUMN gateway_airtime.assumed_frames IS 'frames whose size or data rate the network server did not report';

-- A redelivered tx_ack is counted once.
CREATE TABLE counted_tx_acks (
    key text PRIMARY KEY,
    at timestamptz NOT NULL
);
CREATE INDEX counted_tx_acks_at_brin ON counted_tx_acks USING brin (at);
