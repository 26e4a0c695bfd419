-- Mark `unproven`: the newest reading of a sensor may be missing. With the facts about its uplinks that the mark needs.

ALTER TABLE sensor_devices
ADD COLUMN unproven_reason text,
ADD COLUMN unproven_since timestamptz,
ADD COLUMN to_decode_since timestamptz,
ADD COLUMN refused boolean NOT NULL DEFAULT false,
ADD COLUMN suspect_f_cnt bigint,
ADD COLUMN suspect_at timestamptz,
ADD COLUMN frames_since_gap smallint,
ADD COLUMN undecodable smallint NOT NULL DEFAULT 0,
ADD COLUMN network_log text,
ADD COLUMN network_log_at timestamptz;
COMMENT ON COLUMN sensor_devices.unproven_since IS 'from then on the newest reading may be missing; null: none is known to be';
COMMENT ON COLUMN sensor_devices.to_decode_since IS 'arrival of the newest uplink, if it waits to be decoded';
COMMENT ON COLUMN sensor_devices.refused IS 'the network server refused an uplink or a join since the last accepted uplink';
COMMENT ON COLUMN sensor_devices.suspect_f_cnt IS 'highest refused counter since the last accepted uplink, if it may be the one of an overtaken frame';
COMMENT ON COLUMN sensor_devices.frames_since_gap IS 'frames without a gap since the last one; null: not counted, because none is near';
COMMENT ON COLUMN sensor_devices.undecodable IS 'newest uplinks that could not be decoded, in a row; not counted beyond the condition''s limit';
COMMENT ON COLUMN sensor_devices.network_log IS 'newest log line of the network server about an uplink of the device';

ALTER TABLE spaces
ADD COLUMN unproven_reason text,
ADD COLUMN unproven_since timestamptz,
ADD COLUMN unproven_until timestamptz;
COMMENT ON COLUMN spaces.unproven_since IS 'from then on the state may be out of date; null: it is proven, or a person fixed it';
COMMENT ON COLUMN spaces.unproven_until IS 'when the state becomes UNKNOWN';

ALTER TABLE sensor_devices ADD CONSTRAINT sensor_devices_unproven CHECK (
    unproven_reason IN ('refused', 'to_decode', 'frames_missing', 'session_lost', 'network_server_away')
    AND unproven_since IS NOT NULL OR unproven_reason IS NULL AND unproven_since IS NULL
) NOT VALID;
ALTER TABLE spaces ADD CONSTRAINT spaces_unproven CHECK (
    unproven_reason IN ('refused', 'to_decode', 'frames_missing', 'session_lost', 'network_server_away')
    AND unproven_since IS NOT NULL AND unproven_until IS NOT NULL
    OR unproven_reason IS NULL AND unproven_since IS NULL AND unproven_until IS NULL
) NOT VALID;

-- Where the reading of a sensor no longer counts (it serves another space, or was disabled), nothing is unproven, and its
-- silence concerns nobody. A decommissioned sensor has no condition.
CREATE FUNCTION sensor_devices_forget() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    NEW.unproven_reason := NULL;
    NEW.unproven_since := NULL;
    IF NEW.lifecycle_state = 'decommissioned' THEN
        NEW.refused := false;
        NEW.frames_since_gap := NULL;
        NEW.undecodable := 0;
    END IF;
    UPDATE conditions SET ended_at = greatest(since, now())
    WHERE subject_id = NEW.id::text AND ended_at IS NULL
        AND (kind = 'sensor_silent' OR NEW.lifecycle_state = 'decommissioned');
    RETURN NEW;
END
$$;
CREATE TRIGGER sensor_devices_forget BEFORE UPDATE ON sensor_devices
FOR EACH ROW WHEN (
    OLD.occupancy IS NOT NULL AND NEW.occupancy IS NULL
    OR NEW.lifecycle_state = 'decommissioned' AND OLD.lifecycle_state <> 'decommissioned'
)
EXECUTE FUNCTION sensor_devices_forget();

CREATE FUNCTION spaces_unproven_notify() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('baylight_displays', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER spaces_unproven_announced AFTER UPDATE OF unproven_reason ON spaces
FOR EACH ROW WHEN (OLD.unproven_reason IS DISTINCT FROM NEW.unproven_reason)
EXECUTE FUNCTION spaces_unproven_notify();
