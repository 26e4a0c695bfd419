-- What people and programs do: reservations, overrides, API keys, and the record of it.
CREATE TABLE reservations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    space_id uuid NOT NULL CONSTRAINT fk_space REFERENCES spaces (id),
    start_time timestamptz NOT NULL,
    end_time timestamptz NOT NULL,
    user_email varchar(255),
    user_phone varchar(20),
    status varchar(20) NOT NULL DEFAULT 'active',
    metadata jsonb,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(),
    request_id varchar(100),
    created_by text,
    during tstzrange NOT NULL GENERATED ALWAYS AS (tstzrange(start_time, end_time, '[)')) STORED,
    CONSTRAINT valid_status CHECK (status IN ('active', 'completed', 'cancelled', 'no_show')),
    CONSTRAINT valid_times CHECK (end_time > start_time),
    CONSTRAINT valid_duration CHECK (end_time - start_time <= interval '24 hours'),
    CONSTRAINT reservations_no_overlap
    EXCLUDE USING gist (space_id WITH =, during WITH &&) WHERE (status = 'active')
);
CREATE UNIQUE INDEX reservations_request_id ON reservations (request_id) WHERE request_id IS NOT NULL;
CREATE INDEX idx_reservations_space ON reservations (space_id);
CREATE INDEX idx_reservations_status ON reservations (status) WHERE status = 'active';
CREATE INDEX idx_reservations_time ON reservations (start_time, end_time) WHERE status = 'active';
CREATE TRIGGER update_reservations_updated_at BEFORE UPDATE ON reservations
FOR EACH ROW EXECUTE FUNCTION set_updated_at();

CREATE TABLE overrides (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    space_id uuid CONSTRAINT overrides_space_fk REFERENCES spaces (id),
    location_id uuid CONSTRAINT overrides_location_fk REFERENCES locations (id),
    state varchar(20) NOT NULL,
    valid tstzrange NOT NULL,
    reason text,
    actor text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_by text,
    CONSTRAINT overrides_one_target CHECK ((space_id IS NULL) <> (location_id IS NULL)),
    CONSTRAINT overrides_state CHECK (
        state IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE', 'OUT_OF_ORDER', 'UNKNOWN')
    ),
    CONSTRAINT overrides_valid CHECK (NOT isempty(valid) AND NOT lower_inf(valid)),
    CONSTRAINT overrides_one_per_space EXCLUDE USING gist (space_id WITH =, valid WITH &&) WHERE (space_id IS NOT NULL),
    CONSTRAINT overrides_one_per_location
    EXCLUDE USING gist (location_id WITH =, valid WITH &&) WHERE (location_id IS NOT NULL)
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    key_hash varchar(255) NOT NULL CONSTRAINT unique_key_hash UNIQUE,
    key_name varchar(100),
    last_used_at timestamptz,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz DEFAULT now(),
    is_admin boolean NOT NULL DEFAULT false,
    key_prefix varchar(16) CONSTRAINT api_keys_prefix_key UNIQUE,
    scopes text [] NOT NULL DEFAULT '{read}',
    created_by text,
    revoked_at timestamptz,
    CONSTRAINT api_keys_scopes CHECK (scopes <@ ARRAY['read', 'write', 'admin'] AND cardinality(scopes) > 0),
    CONSTRAINT api_keys_admin_scope CHECK (is_admin = ('admin' = ANY (scopes))),
    CONSTRAINT api_keys_revoked CHECK (is_active = (revoked_at IS NULL))
);
COMMENT ON COLUMN api_keys.key_prefix IS 'public part of the key, by which it is looked up';
CREATE INDEX idx_api_keys_active ON api_keys (is_active) WHERE is_active = true;

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    object_type text NOT NULL,
    object_id text NOT NULL,
    before jsonb,
    after jsonb,
    request_id text
);
CREATE INDEX audit_log_object ON audit_log (object_type, object_id, id);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION reject_change();
