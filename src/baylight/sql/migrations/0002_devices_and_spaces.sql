-- The two registries, the spaces that they serve, and which device served which space when.
CREATE TABLE sensor_devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    dev_eui varchar(16) NOT NULL CONSTRAINT sensor_devices_dev_eui_key UNIQUE,
    device_type varchar(50) NOT NULL CONSTRAINT sensor_devices_type_fk REFERENCES device_types (code),
    device_model varchar(100),
    manufacturer varchar(100),
    payload_decoder varchar(100),
    capabilities jsonb NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    last_seen_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    lifecycle_state text NOT NULL DEFAULT 'registered',
    network_server text NOT NULL DEFAULT 'chirpstack',
    application_id text,
    mobile boolean NOT NULL DEFAULT false,
    rssi_dbm smallint,
    snr_db real,
    gateway_id varchar(16),
    battery_v real,
    battery_pct real,
    firmware text,
    notes text,
    dev_addr varchar(8),
    last_f_cnt bigint,
    last_join_at timestamptz,
    heard_network_at timestamptz,
    occupancy varchar(20),
    occupancy_at timestamptz,
    free_from timestamptz,
    damaged boolean NOT NULL DEFAULT false,
    CONSTRAINT sensor_devices_dev_eui CHECK (
        length(dev_eui) = 16 AND translate(dev_eui, '0123456789abcdef', '') = ''
    ),
    CONSTRAINT sensor_devices_lifecycle CHECK (
        lifecycle_state IN ('orphan', 'registered', 'installed', 'testing', 'active', 'maintenance', 'decommissioned')
    ),
    CONSTRAINT sensor_devices_occupancy CHECK (occupancy IN ('FREE', 'OCCUPIED')),
    CONSTRAINT sensor_devices_occupancy_has_time CHECK ((occupancy IS NULL) = (occupancy_at IS NULL))
) WITH (fillfactor = 70);
COMMENT ON COLUMN sensor_devices.heard_network_at IS 'network server''s time of the newest uplink taken: older ones are stale';
COMMENT ON COLUMN sensor_devices.occupancy_at IS 'when the newest reading with occupancy was made, never by gateway time';
COMMENT ON COLUMN sensor_devices.free_from IS 'OCCUPIED by motion counts until then, if no more is told meanwhile';
CREATE INDEX idx_sensor_devices_deveui ON sensor_devices (dev_eui, enabled) WHERE enabled = true;
CREATE INDEX sensor_devices_device_type ON sensor_devices (device_type);

CREATE TABLE display_devices (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    dev_eui varchar(16) NOT NULL CONSTRAINT display_devices_dev_eui_key UNIQUE,
    device_type varchar(50) NOT NULL CONSTRAINT display_devices_type_fk REFERENCES device_types (code),
    device_model varchar(100),
    manufacturer varchar(100),
    display_codes jsonb NOT NULL,
    fport integer NOT NULL,
    confirmed_downlinks boolean NOT NULL DEFAULT false,
    enabled boolean NOT NULL DEFAULT true,
    last_seen_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    lifecycle_state text NOT NULL DEFAULT 'registered',
    network_server text NOT NULL DEFAULT 'chirpstack',
    application_id text,
    shared boolean NOT NULL DEFAULT false,
    rssi_dbm smallint,
    snr_db real,
    gateway_id varchar(16),
    battery_v real,
    battery_pct real,
    firmware text,
    notes text,
    dev_addr varchar(8),
    last_f_cnt bigint,
    last_join_at timestamptz,
    heard_network_at timestamptz,
    desired_state varchar(20),
    desired_code text,
    desired_at timestamptz,
    commanded_actuation_id uuid,
    reported_code text,
    reported_at timestamptz,
    sync_status text NOT NULL DEFAULT 'unknown',
    resend_after_uplink boolean NOT NULL DEFAULT false,
    failures integer NOT NULL DEFAULT 0,
    reconcile_at timestamptz,
    CONSTRAINT display_devices_dev_eui CHECK (
        length(dev_eui) = 16 AND translate(dev_eui, '0123456789abcdef', '') = ''
    ),
    CONSTRAINT display_devices_lifecycle CHECK (
        lifecycle_state IN ('orphan', 'registered', 'installed', 'testing', 'active', 'maintenance', 'decommissioned')
    ),
    -- LoRaWAN L2 1.0.4, 4.3.2: application FPorts are 1 to 223. No default: the port comes from the type.
    CONSTRAINT display_devices_fport CHECK (fport BETWEEN 1 AND 223),
    CONSTRAINT display_devices_codes_object CHECK (jsonb_typeof(display_codes) = 'object'),
    CONSTRAINT display_devices_sync_status CHECK (
        sync_status IN ('in_sync', 'pending', 'drifted', 'unreachable', 'misconfigured', 'unknown')
    ),
    CONSTRAINT display_devices_desired_state CHECK (
        desired_state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE', 'OUT_OF_ORDER', 'UNKNOWN')
    )
) WITH (fillfactor = 70);
COMMENT ON COLUMN display_devices.resend_after_uplink IS 'it rejoined, or cannot be addressed yet: whatever it shows, send again once it was heard';
COMMENT ON COLUMN display_devices.failures IS 'failed tries in a row to make it show desired_code; sets the back-off';
COMMENT ON COLUMN display_devices.reconcile_at IS 'when the closed loop must look at this display again';
CREATE INDEX idx_display_devices_deveui ON display_devices (dev_eui, enabled) WHERE enabled = true;
CREATE INDEX display_devices_device_type ON display_devices (device_type);
CREATE INDEX display_devices_reconcile ON display_devices (reconcile_at) WHERE reconcile_at IS NOT NULL;

CREATE TABLE spaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(100) NOT NULL,
    code varchar(20) NOT NULL,
    location_id uuid CONSTRAINT spaces_location_fk REFERENCES locations (id) ON DELETE RESTRICT,
    gps_latitude numeric(10, 8),
    gps_longitude numeric(11, 8),
    sensor_device_id uuid CONSTRAINT fk_sensor_device REFERENCES sensor_devices (id) ON DELETE RESTRICT,
    display_device_id uuid CONSTRAINT fk_display_device REFERENCES display_devices (id) ON DELETE RESTRICT,
    sensor_deveui varchar(16),
    display_deveui varchar(16),
    current_state varchar(20) NOT NULL DEFAULT 'UNKNOWN',
    current_state_at timestamptz NOT NULL DEFAULT now(),
    sensor_state varchar(20),
    sensor_state_at timestamptz,
    display_state varchar(20),
    display_state_at timestamptz,
    state_reason text,
    default_state varchar(20) NOT NULL DEFAULT 'UNKNOWN',
    maintenance boolean NOT NULL DEFAULT false,
    recompute_at timestamptz,
    metadata jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT valid_state CHECK (
        current_state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE', 'OUT_OF_ORDER', 'UNKNOWN')
    ),
    CONSTRAINT valid_default_state CHECK (
        default_state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE', 'OUT_OF_ORDER', 'UNKNOWN')
    ),
    CONSTRAINT valid_sensor_state CHECK (sensor_state IN ('FREE', 'OCCUPIED')),
    CONSTRAINT valid_display_state CHECK (
        display_state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE', 'OUT_OF_ORDER', 'UNKNOWN')
    ),
    CONSTRAINT valid_gps CHECK (
        (gps_latitude IS NULL) = (gps_longitude IS NULL)
        AND coalesce(gps_latitude BETWEEN -90 AND 90 AND gps_longitude BETWEEN -180 AND 180, true)
    )
) WITH (fillfactor = 70);
COMMENT ON COLUMN spaces.current_state IS 'the decision; sensor_state is what the sensor says, display_state what is shown';
COMMENT ON COLUMN spaces.recompute_at IS 'look again not later than this: time alone may change the decision';
CREATE UNIQUE INDEX spaces_code_live ON spaces (code) WHERE deleted_at IS NULL;
CREATE INDEX idx_spaces_sensor ON spaces (sensor_deveui) WHERE deleted_at IS NULL;
CREATE INDEX spaces_sensor_device ON spaces (sensor_device_id) WHERE sensor_device_id IS NOT NULL;
CREATE INDEX spaces_display_device ON spaces (display_device_id) WHERE display_device_id IS NOT NULL;
CREATE INDEX spaces_location ON spaces (location_id);
CREATE INDEX spaces_recompute ON spaces (recompute_at) WHERE recompute_at IS NOT NULL;

-- The copies follow the foreign keys; where only the copy was written, the foreign key follows it.
CREATE FUNCTION sync_device_deveuis() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    sensor_key_set boolean := TG_OP = 'INSERT' AND NEW.sensor_device_id IS NOT NULL;
    display_key_set boolean := TG_OP = 'INSERT' AND NEW.display_device_id IS NOT NULL;
    sensor_copy_set boolean := TG_OP = 'INSERT' AND NEW.sensor_deveui IS NOT NULL;
    display_copy_set boolean := TG_OP = 'INSERT' AND NEW.display_deveui IS NOT NULL;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        sensor_key_set := NEW.sensor_device_id IS DISTINCT FROM OLD.sensor_device_id;
        display_key_set := NEW.display_device_id IS DISTINCT FROM OLD.display_device_id;
        sensor_copy_set := NEW.sensor_deveui IS DISTINCT FROM OLD.sensor_deveui;
        display_copy_set := NEW.display_deveui IS DISTINCT FROM OLD.display_deveui;
    END IF;

    IF sensor_key_set THEN
        NEW.sensor_deveui := (SELECT dev_eui FROM sensor_devices WHERE id = NEW.sensor_device_id FOR KEY SHARE);
    ELSIF sensor_copy_set THEN
        NEW.sensor_device_id := (SELECT id FROM sensor_devices WHERE dev_eui = NEW.sensor_deveui FOR KEY SHARE);
        IF NEW.sensor_deveui IS NOT NULL AND NEW.sensor_device_id IS NULL THEN
            RAISE EXCEPTION 'sensor % is not registered', NEW.sensor_deveui
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'spaces_sensor_registered';
        END IF;
    END IF;

    IF display_key_set THEN
        NEW.display_deveui := (SELECT dev_eui FROM display_devices WHERE id = NEW.display_device_id FOR KEY SHARE);
    ELSIF display_copy_set THEN
        NEW.display_device_id := (SELECT id FROM display_devices WHERE dev_eui = NEW.display_deveui FOR KEY SHARE);
        IF NEW.display_deveui IS NOT NULL AND NEW.display_device_id IS NULL THEN
            RAISE EXCEPTION 'display % is not registered', NEW.display_deveui
                USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'spaces_display_registered';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER spaces_sync_deveuis
BEFORE INSERT OR UPDATE OF sensor_device_id, display_device_id, sensor_deveui, display_deveui ON spaces
FOR EACH ROW EXECUTE FUNCTION sync_device_deveuis();

-- A corrected EUI in a registry reaches the copies.
CREATE FUNCTION sensor_devices_copy_dev_eui() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE spaces SET sensor_deveui = NEW.dev_eui WHERE sensor_device_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER sensor_devices_dev_eui_followed AFTER UPDATE OF dev_eui ON sensor_devices
FOR EACH ROW WHEN (OLD.dev_eui IS DISTINCT FROM NEW.dev_eui) EXECUTE FUNCTION sensor_devices_copy_dev_eui();

CREATE FUNCTION display_devices_copy_dev_eui() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE spaces SET display_deveui = NEW.dev_eui WHERE display_device_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER display_devices_dev_eui_followed AFTER UPDATE OF dev_eui ON display_devices
FOR EACH ROW WHEN (OLD.dev_eui IS DISTINCT FROM NEW.dev_eui) EXECUTE FUNCTION display_devices_copy_dev_eui();

-- updated_at tells of changes by people; ingest's columns have times of their own.
CREATE TRIGGER locations_updated_at BEFORE UPDATE ON locations
FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER device_types_updated_at BEFORE UPDATE ON device_types
FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER sensor_devices_updated_at
BEFORE UPDATE OF dev_eui, device_type, device_model, manufacturer, payload_decoder, capabilities, enabled,
lifecycle_state, mobile, notes ON sensor_devices
FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER display_devices_updated_at
BEFORE UPDATE OF dev_eui, device_type, device_model, manufacturer, display_codes, fport, confirmed_downlinks,
enabled, lifecycle_state, shared, notes ON display_devices
FOR EACH ROW EXECUTE FUNCTION set_updated_at();
CREATE TRIGGER update_spaces_updated_at
BEFORE UPDATE OF name, code, location_id, gps_latitude, gps_longitude, sensor_device_id, display_device_id,
default_state, maintenance, metadata, deleted_at ON spaces
FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE device_assignments (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    space_id uuid NOT NULL CONSTRAINT device_assignments_space_fk REFERENCES spaces (id) ON DELETE RESTRICT,
    role text NOT NULL,
    sensor_device_id uuid CONSTRAINT device_assignments_sensor_fk REFERENCES sensor_devices (id) ON DELETE RESTRICT,
    display_device_id uuid CONSTRAINT device_assignments_display_fk REFERENCES display_devices (id) ON DELETE RESTRICT,
    device_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(sensor_device_id, display_device_id)) STORED,
    valid tstzrange NOT NULL,
    shared boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    actor text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    superseded_at timestamptz,
    CONSTRAINT device_assignments_role CHECK (role IN ('sensor', 'display')),
    CONSTRAINT device_assignments_device_of_role CHECK (
        (role = 'sensor') = (sensor_device_id IS NOT NULL) AND (role = 'display') = (display_device_id IS NOT NULL)
    ),
    CONSTRAINT device_assignments_reason CHECK (
        reason IN ('install', 'swap', 'maintenance', 'correction', 'removal')
    ),
    CONSTRAINT device_assignments_valid CHECK (NOT isempty(valid)),
    CONSTRAINT device_assignments_one_device_per_space
    EXCLUDE USING gist (space_id WITH =, role WITH =, valid WITH &&) WHERE (superseded_at IS NULL),
    CONSTRAINT device_assignments_one_space_per_device
    EXCLUDE USING gist (device_id WITH =, valid WITH &&) WHERE (superseded_at IS NULL AND NOT shared)
);
COMMENT ON TABLE device_assignments IS 'which device served which space, from when to when; kept by a trigger of spaces';
COMMENT ON COLUMN device_assignments.superseded_at IS 'set when a correction replaced this row; then it counts no more';

-- Settings of the transaction name who did it and why: baylight.actor, baylight.assignment_reason.
CREATE FUNCTION spaces_record_assignments() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    by_whom text := coalesce(nullif(current_setting('baylight.actor', true), ''), session_user);
    why text := nullif(current_setting('baylight.assignment_reason', true), '');
    at timestamptz := clock_timestamp();
    gone boolean := NEW.deleted_at IS NOT NULL;
    sensor_before uuid;
    display_before uuid;
    sensor_now uuid := CASE WHEN NOT gone THEN NEW.sensor_device_id END;
    display_now uuid := CASE WHEN NOT gone THEN NEW.display_device_id END;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.deleted_at IS NULL THEN
        sensor_before := OLD.sensor_device_id;
        display_before := OLD.display_device_id;
    END IF;
    IF sensor_now IS DISTINCT FROM sensor_before THEN
        UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
        WHERE space_id = NEW.id AND role = 'sensor' AND superseded_at IS NULL AND upper_inf(valid);
        IF sensor_now IS NOT NULL THEN
            INSERT INTO device_assignments (space_id, role, sensor_device_id, valid, shared, reason, actor)
            SELECT NEW.id, 'sensor', s.id, tstzrange(at, NULL), s.mobile,
                   coalesce(why, CASE WHEN sensor_before IS NULL THEN 'install' ELSE 'swap' END), by_whom
            FROM sensor_devices AS s WHERE s.id = sensor_now;
        END IF;
    END IF;
    IF display_now IS DISTINCT FROM display_before THEN
        UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
        WHERE space_id = NEW.id AND role = 'display' AND superseded_at IS NULL AND upper_inf(valid);
        IF display_now IS NOT NULL THEN
            INSERT INTO device_assignments (space_id, role, display_device_id, valid, shared, reason, actor)
            SELECT NEW.id, 'display', d.id, tstzrange(at, NULL), d.shared,
                   coalesce(why, CASE WHEN display_before IS NULL THEN 'install' ELSE 'swap' END), by_whom
            FROM display_devices AS d WHERE d.id = display_now;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER spaces_assignments_recorded
AFTER INSERT OR UPDATE OF sensor_device_id, display_device_id, sensor_deveui, display_deveui, deleted_at ON spaces
FOR EACH ROW EXECUTE FUNCTION spaces_record_assignments();

CREATE TABLE device_lifecycle_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role text NOT NULL,
    device_id uuid NOT NULL,
    dev_eui varchar(16) NOT NULL,
    previous_state text,
    new_state text NOT NULL,
    reason text,
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT device_lifecycle_events_role CHECK (role IN ('sensor', 'display'))
);
CREATE INDEX device_lifecycle_events_device ON device_lifecycle_events (device_id, at);
CREATE TRIGGER device_lifecycle_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON device_lifecycle_events
FOR EACH STATEMENT EXECUTE FUNCTION reject_change();

CREATE FUNCTION devices_record_lifecycle() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO device_lifecycle_events (role, device_id, dev_eui, previous_state, new_state, reason, actor)
    VALUES (TG_ARGV[0], NEW.id, NEW.dev_eui, CASE WHEN TG_OP = 'UPDATE' THEN OLD.lifecycle_state END,
            NEW.lifecycle_state, nullif(current_setting('baylight.reason', true), ''),
            coalesce(nullif(current_setting('baylight.actor', true), ''), session_user));
    RETURN NULL;
END
$$;
CREATE TRIGGER sensor_devices_lifecycle_inserted AFTER INSERT ON sensor_devices
FOR EACH ROW EXECUTE FUNCTION devices_record_lifecycle('sensor');
CREATE TRIGGER sensor_devices_lifecycle_updated AFTER UPDATE OF lifecycle_state ON sensor_devices
FOR EACH ROW WHEN (OLD.lifecycle_state IS DISTINCT FROM NEW.lifecycle_state)
EXECUTE FUNCTION devices_record_lifecycle('sensor');
CREATE TRIGGER display_devices_lifecycle_inserted AFTER INSERT ON display_devices
FOR EACH ROW EXECUTE FUNCTION devices_record_lifecycle('display');
CREATE TRIGGER display_devices_lifecycle_updated AFTER UPDATE OF lifecycle_state ON display_devices
FOR EACH ROW WHEN (OLD.lifecycle_state IS DISTINCT FROM NEW.lifecycle_state)
EXECUTE FUNCTION devices_record_lifecycle('display');

-- Whoever watches is told that what a display must show, was sent or reports has changed.
CREATE FUNCTION display_devices_notify() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_notify('baylight_displays', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER display_devices_announced AFTER UPDATE OF sync_status, enabled, display_codes ON display_devices
FOR EACH STATEMENT EXECUTE FUNCTION display_devices_notify();
