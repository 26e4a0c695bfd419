-- The schema of V2 as it is found in the field, its seed rows and its weak spots included.
-- uuid-ossp is not used, and builds of PostgreSQL for development lack it.
DO $$
DECLARE
    wanted text;
BEGIN
    FOR wanted IN SELECT name FROM pg_available_extensions WHERE name IN ('uuid-ossp', 'pgcrypto') LOOP
        EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I', wanted);
    END LOOP;
END
$$;

CREATE FUNCTION update_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = now();
    RETURN NEW;
END
$$;

CREATE TABLE spaces (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(100) NOT NULL,
    code varchar(20) NOT NULL,
    building varchar(100),
    floor varchar(20),
    zone varchar(50),
    gps_latitude numeric(10, 8),
    gps_longitude numeric(11, 8),
    sensor_eui varchar(16),
    display_eui varchar(16),
    state varchar(20) NOT NULL DEFAULT 'FREE',
    metadata jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT unique_space_code UNIQUE (code),
    CONSTRAINT unique_sensor_eui UNIQUE (sensor_eui),
    CONSTRAINT valid_state CHECK (state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE')),
    CONSTRAINT valid_gps CHECK (
        (gps_latitude IS NULL AND gps_longitude IS NULL)
        OR (gps_latitude BETWEEN -90 AND 90 AND gps_longitude BETWEEN -180 AND 180)
    )
);
CREATE INDEX idx_spaces_state ON spaces (state) WHERE deleted_at IS NULL;
CREATE INDEX idx_spaces_sensor ON spaces (sensor_eui) WHERE deleted_at IS NULL;
CREATE INDEX idx_spaces_building ON spaces (building) WHERE deleted_at IS NULL;
CREATE INDEX idx_spaces_location ON spaces (building, floor, zone) WHERE deleted_at IS NULL;
CREATE TRIGGER update_spaces_updated_at BEFORE UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION update_updated_at();

CREATE TABLE reservations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    space_id uuid NOT NULL,
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    user_email varchar(255),
    user_phone varchar(20),
    status varchar(20) NOT NULL DEFAULT 'active',
    metadata jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    CONSTRAINT fk_space FOREIGN KEY (space_id) REFERENCES spaces (id),
    CONSTRAINT valid_status CHECK (status IN ('active', 'completed', 'cancelled', 'no_show')),
    CONSTRAINT valid_times CHECK (end_time > start_time),
    CONSTRAINT valid_duration CHECK (end_time - start_time <= interval '24 hours')
);
CREATE INDEX idx_reservations_space ON reservations (space_id);
CREATE INDEX idx_reservations_status ON reservations (status) WHERE status = 'active';
CREATE INDEX idx_reservations_time ON reservations (start_time, end_time) WHERE status = 'active';
CREATE TRIGGER update_reservations_updated_at BEFORE UPDATE ON reservations
FOR EACH ROW EXECUTE FUNCTION update_updated_at();

CREATE TABLE sensor_readings (
    id bigserial PRIMARY KEY,
    device_eui varchar(16) NOT NULL,
    space_id uuid,
    occupancy_state varchar(20),
    battery numeric(3, 2),
    temperature numeric(4, 1),
    rssi integer,
    snr numeric(4, 1),
    "timestamp" timestamptz DEFAULT now(),
    CONSTRAINT fk_space FOREIGN KEY (space_id) REFERENCES spaces (id)
);
CREATE INDEX idx_sensor_readings_device_time ON sensor_readings (device_eui, "timestamp" DESC);
CREATE INDEX idx_sensor_readings_space_time ON sensor_readings (space_id, "timestamp" DESC) WHERE space_id IS NOT NULL;
CREATE INDEX idx_sensor_readings_timestamp_brin ON sensor_readings USING brin ("timestamp");

CREATE TABLE state_changes (
    id bigserial PRIMARY KEY,
    space_id uuid NOT NULL,
    previous_state varchar(20),
    new_state varchar(20) NOT NULL,
    source varchar(50) NOT NULL,
    request_id varchar(50),
    metadata jsonb,
    "timestamp" timestamptz DEFAULT now(),
    CONSTRAINT fk_space FOREIGN KEY (space_id) REFERENCES spaces (id)
);
CREATE INDEX idx_state_changes_space ON state_changes (space_id, "timestamp" DESC);
CREATE INDEX idx_state_changes_timestamp_brin ON state_changes USING brin ("timestamp");

CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    key_hash varchar(255) NOT NULL,
    key_name varchar(100),
    last_used_at timestamptz,
    is_active boolean DEFAULT true,
    created_at timestamptz DEFAULT now(),
    is_admin boolean DEFAULT false,
    CONSTRAINT unique_key_hash UNIQUE (key_hash)
);
CREATE INDEX idx_api_keys_active ON api_keys (is_active) WHERE is_active = true;
CREATE INDEX idx_api_keys_admin ON api_keys (is_admin) WHERE is_active = true AND is_admin = true;

INSERT INTO spaces (name, code, building, floor, zone) VALUES
('Bay A001', 'A001', 'Main', '1', 'A'), ('Bay A002', 'A002', 'Main', '1', 'A'), ('Bay B001', 'B001', 'Main', '2', 'B');
INSERT INTO api_keys (key_hash, key_name) VALUES ('$2b$12$placeholderThatNoKeyCanEverMatch', 'seed');

-- The role that the V2 application runs under does not own the tables.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'parking') THEN
        CREATE ROLE parking LOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
GRANT ALL ON ALL TABLES IN SCHEMA public TO parking;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO parking;
