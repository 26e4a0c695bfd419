-- The life of a device step by step, displays that several spaces share, swaps that can be undone, tests of devices.

-- The same table as LIFECYCLE in domain/lifecycle.py; a test compares the two.
CREATE FUNCTION lifecycle_may_step(old_state text, new_state text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN CASE old_state
    WHEN 'orphan' THEN new_state = 'registered'
    WHEN 'registered' THEN new_state IN ('installed', 'testing', 'active', 'decommissioned')
    WHEN 'installed' THEN new_state IN ('testing', 'active', 'maintenance', 'decommissioned')
    WHEN 'testing' THEN new_state IN ('installed', 'active', 'maintenance', 'decommissioned')
    WHEN 'active' THEN new_state IN ('testing', 'maintenance', 'decommissioned')
    WHEN 'maintenance' THEN new_state IN ('active', 'decommissioned')
    WHEN 'decommissioned' THEN new_state = 'registered'
    ELSE false
END;

CREATE FUNCTION devices_check_lifecycle() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT lifecycle_may_step(OLD.lifecycle_state, NEW.lifecycle_state) THEN
        RAISE EXCEPTION 'device % cannot go from % to %', NEW.dev_eui, OLD.lifecycle_state, NEW.lifecycle_state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'devices_lifecycle_step';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER sensor_devices_lifecycle_step BEFORE UPDATE OF lifecycle_state ON sensor_devices
FOR EACH ROW WHEN (OLD.lifecycle_state IS DISTINCT FROM NEW.lifecycle_state) EXECUTE FUNCTION devices_check_lifecycle();
CREATE TRIGGER display_devices_lifecycle_step BEFORE UPDATE OF lifecycle_state ON display_devices
FOR EACH ROW WHEN (OLD.lifecycle_state IS DISTINCT FROM NEW.lifecycle_state) EXECUTE FUNCTION devices_check_lifecycle();

-- What a display that several spaces share makes of their states.
ALTER TABLE display_devices ADD COLUMN shared_rule text NOT NULL DEFAULT 'worst_state';
ALTER TABLE display_devices ADD CONSTRAINT display_devices_shared_rule
CHECK (shared_rule IN ('any_free', 'all_free', 'count', 'worst_state')) NOT VALID;

-- Two more causes: a test of a display, and a command that an operator sends by hand. The next file validates it.
-- squawk-ignore ban-drop-constraint
ALTER TABLE actuations DROP CONSTRAINT valid_trigger_type;
ALTER TABLE actuations ADD CONSTRAINT valid_trigger_type CHECK (
    trigger_type IN (
        'sensor_uplink', 'api_reservation', 'manual_override', 'system_cleanup', 'reservation_expired',
        'reservation_started', 'reconciliation', 'rejoin_recovery', 'maintenance', 'sensor_silent', 'assignment',
        'device_test', 'device_command'
    )
) NOT VALID;

-- Each change of devices that can be undone: what went and what came, on one space, from when.
CREATE TABLE device_swaps (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    swap_id uuid NOT NULL,
    space_id uuid NOT NULL CONSTRAINT device_swaps_space_fk REFERENCES spaces (id) ON DELETE RESTRICT,
    role text NOT NULL,
    old_device_id uuid NOT NULL,
    new_device_id uuid NOT NULL,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    actor text NOT NULL,
    note text,
    retired boolean NOT NULL DEFAULT false,
    new_codes_before jsonb,
    undone_at timestamptz,
    undone_by text,
    CONSTRAINT device_swaps_role CHECK (role IN ('sensor', 'display')),
    CONSTRAINT device_swaps_two CHECK (old_device_id <> new_device_id),
    CONSTRAINT device_swaps_undone CHECK ((undone_at IS NULL) = (undone_by IS NULL)),
    CONSTRAINT device_swaps_not_ahead CHECK (at <= recorded_at)
);
COMMENT ON COLUMN device_swaps.swap_id IS 'one swap of a device that serves several spaces is a row for each';
COMMENT ON COLUMN device_swaps.at IS 'from when the new device served; before recorded_at if it was told later';
COMMENT ON COLUMN device_swaps.new_codes_before IS 'display_codes of the new display, to be restored by an undo';
CREATE INDEX device_swaps_space ON device_swaps (space_id, role, recorded_at DESC);
CREATE INDEX device_swaps_swap ON device_swaps (swap_id);
CREATE INDEX device_swaps_new ON device_swaps (new_device_id, recorded_at DESC);
CREATE INDEX device_swaps_old ON device_swaps (old_device_id, recorded_at DESC);

-- Tests of devices on their places: what was tried, what came of it.
CREATE TABLE device_tests (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind text NOT NULL,
    space_id uuid NOT NULL CONSTRAINT device_tests_space_fk REFERENCES spaces (id) ON DELETE RESTRICT,
    sensor_device_id uuid CONSTRAINT device_tests_sensor_fk REFERENCES sensor_devices (id) ON DELETE RESTRICT,
    display_device_id uuid NOT NULL
    CONSTRAINT device_tests_display_fk REFERENCES display_devices (id) ON DELETE RESTRICT,
    actuation_id uuid,
    started_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    within_s real NOT NULL,
    ended_at timestamptz,
    result text NOT NULL DEFAULT 'running',
    detail text,
    seconds real,
    actor text NOT NULL,
    CONSTRAINT device_tests_kind CHECK (
        CASE kind WHEN 'pattern' THEN actuation_id IS NOT NULL WHEN 'pair' THEN sensor_device_id IS NOT NULL ELSE false END
    ),
    CONSTRAINT device_tests_result CHECK (result IN ('running', 'passed', 'failed')),
    CONSTRAINT device_tests_ended CHECK ((result = 'running') = (ended_at IS NULL)),
    CONSTRAINT device_tests_deadline CHECK (deadline_at > started_at AND within_s > 0)
);
COMMENT ON COLUMN device_tests.kind IS 'pattern: the display shows a light; pair: a car comes or goes, the light follows';
COMMENT ON COLUMN device_tests.actuation_id IS 'what showed it: of a pair, once the sensor had spoken';
COMMENT ON COLUMN device_tests.seconds IS 'from the decision to the proof that the light showed it';
CREATE INDEX device_tests_sensor ON device_tests (sensor_device_id, started_at DESC) WHERE sensor_device_id IS NOT NULL;
CREATE INDEX device_tests_display ON device_tests (display_device_id, started_at DESC);
CREATE INDEX device_tests_space ON device_tests (space_id);
CREATE INDEX device_tests_running ON device_tests (started_at) WHERE result = 'running';

-- Whoever asks "as of": a space's or a device's rows by time. The exclusion constraints' indexes begin with other columns
-- for the one and leave shared rows out for the other.
CREATE INDEX device_assignments_space ON device_assignments (space_id, role) WHERE superseded_at IS NULL;
CREATE INDEX device_assignments_device ON device_assignments (device_id) WHERE superseded_at IS NULL;

-- As before, and: baylight.assignments = 'written' says that the rows are kept by whoever writes the space; and an
-- interval never ends before it began. What serves nothing has nothing to end, and no plan that was made while the table
-- was small may read all of it for each of the many rows that one transaction adds.
CREATE OR REPLACE FUNCTION spaces_record_assignments() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp SET enable_seqscan = off
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
    IF current_setting('baylight.assignments', true) = 'written' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.deleted_at IS NULL THEN
        sensor_before := OLD.sensor_device_id;
        display_before := OLD.display_device_id;
    END IF;
    IF sensor_before IS NOT NULL OR display_before IS NOT NULL THEN
        -- A clock that was put back must not make an interval end before it began.
        at := greatest(at, (
            SELECT max(lower(a.valid)) + interval '1 microsecond' FROM device_assignments AS a
            WHERE a.superseded_at IS NULL AND upper_inf(a.valid) AND a.space_id = NEW.id
        ));
    END IF;
    IF sensor_now IS DISTINCT FROM sensor_before THEN
        IF sensor_before IS NOT NULL THEN
            UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
            WHERE space_id = NEW.id AND role = 'sensor' AND superseded_at IS NULL AND upper_inf(valid);
        END IF;
        IF sensor_now IS NOT NULL THEN
            INSERT INTO device_assignments (space_id, role, sensor_device_id, valid, shared, reason, actor)
            SELECT NEW.id, 'sensor', s.id, tstzrange(at, NULL), s.mobile,
                   coalesce(why, CASE WHEN sensor_before IS NULL THEN 'install' ELSE 'swap' END), by_whom
            FROM sensor_devices AS s WHERE s.id = sensor_now;
        END IF;
    END IF;
    IF display_now IS DISTINCT FROM display_before THEN
        IF display_before IS NOT NULL THEN
            UPDATE device_assignments SET valid = tstzrange(lower(valid), at)
            WHERE space_id = NEW.id AND role = 'display' AND superseded_at IS NULL AND upper_inf(valid);
        END IF;
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
