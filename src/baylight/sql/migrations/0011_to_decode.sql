-- Uplinks whose JavaScript codec has not answered yet, and displays whose lights look alike by an operator's choice.

-- A new outcome. The next file validates it.
-- squawk-ignore ban-drop-constraint
ALTER TABLE uplinks DROP CONSTRAINT uplinks_outcome;
ALTER TABLE uplinks ADD CONSTRAINT uplinks_outcome CHECK (
    outcome IN (
        'state_changed', 'unchanged', 'stale', 'unassigned', 'unknown_device',
        'device_disabled', 'not_decodable', 'not_occupancy', 'display_report', 'to_decode'
    )
) NOT VALID;

-- Beside the table of uplinks: it has partitions of millions of rows, and an index on one of them locks it.
CREATE TABLE uplinks_to_decode (
    observed_at timestamptz NOT NULL,
    deduplication_id uuid NOT NULL,
    dev_eui varchar(16) NOT NULL,
    received_at timestamptz NOT NULL,
    at timestamptz NOT NULL,
    dev_addr text,
    tries integer NOT NULL DEFAULT 0,
    CONSTRAINT uplinks_to_decode_pkey PRIMARY KEY (observed_at, deduplication_id)
);
COMMENT ON TABLE uplinks_to_decode IS 'a row for each uplink with the outcome to_decode, until its codec answers';
COMMENT ON COLUMN uplinks_to_decode.at IS 'when the uplink was made: its reading is stale if the sensor has a newer one';
COMMENT ON COLUMN uplinks_to_decode.dev_addr IS 'address of the session: counters compare only within one';
COMMENT ON COLUMN uplinks_to_decode.tries IS 'calls for this uplink that used too much CPU time, or ended their worker';
CREATE INDEX uplinks_to_decode_next ON uplinks_to_decode (tries, received_at);
CREATE INDEX uplinks_to_decode_device ON uplinks_to_decode (dev_eui);

ALTER TABLE display_devices ADD COLUMN alike_allowed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN display_devices.alike_allowed IS
'an operator accepted that the light of another state looks like FREE on this display';
