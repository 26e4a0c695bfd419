-- A gateway sends although its tx_acks are lost: reports of displays prove it.

ALTER TABLE gateways ADD COLUMN proven_at timestamptz;
COMMENT ON COLUMN gateways.proven_at IS
'when a display behind it last reported the light of a command of which no tx_ack had come';
