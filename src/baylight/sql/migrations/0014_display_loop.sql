-- What a lamp may have received since its last report, its downlink counter, and how fast it and its gateways answer.

ALTER TABLE display_devices
ADD COLUMN possible_code text,
ADD COLUMN possible_until timestamptz,
ADD COLUMN others_until timestamptz,
ADD COLUMN unknown_until timestamptz,
ADD COLUMN down_f_cnt bigint,
ADD COLUMN down_queue_id text,
ADD COLUMN answer_s real,
ADD COLUMN tx_ack_s real,
ADD COLUMN drifts integer NOT NULL DEFAULT 0,
ADD COLUMN drifted_at timestamptz;
COMMENT ON COLUMN display_devices.possible_code IS 'the command that the lamp may have received last; null: any light';
COMMENT ON COLUMN display_devices.possible_until IS 'the last time at which the lamp may receive the command of possible_code';
COMMENT ON COLUMN display_devices.others_until IS 'the same for commands of all other codes';
COMMENT ON COLUMN display_devices.unknown_until IS 'the last time at which a restart or a foreign command may have given it any light';
COMMENT ON COLUMN display_devices.down_f_cnt IS 'counter of the last tx_ack in this session; down_queue_id: its queue item';
COMMENT ON COLUMN display_devices.answer_s IS 'usual time from a tx_ack to the report';
COMMENT ON COLUMN display_devices.tx_ack_s IS 'usual time from the acceptance of a command to its tx_ack';
COMMENT ON COLUMN display_devices.drifts IS 'times in a row that a proven light was lost; drifted_at: the last time';

-- When the last sender of an actuation claimed it.
ALTER TABLE actuations ADD COLUMN claimed_at timestamptz;
