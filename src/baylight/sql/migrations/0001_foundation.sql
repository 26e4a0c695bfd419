-- Extensions, functions that other files build on, the tree of locations and the catalogue of device types.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- PostgreSQL 18 has uuidv7(); 15 to 17 have not. RFC 9562: 48 bits of Unix ms, version, 74 random bits.
CREATE FUNCTION uuid7(at timestamptz DEFAULT clock_timestamp()) RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE
SET search_path = pg_catalog
RETURN encode(
    set_bit(set_bit(
        overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
        52, 1), 53, 1),
    'hex')::uuid;

COMMENT ON FUNCTION uuid7 IS 'UUID version 7 made at an instant: ids made together lie together';

-- The smallest id of an instant: partitions of tables keyed by uuid7 have such bounds.
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
RETURN (encode(substring(int8send(floor(extract(epoch FROM at) * 1000)::bigint) FROM 3), 'hex') || repeat('0', 20))::uuid;

CREATE FUNCTION set_updated_at() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;

CREATE FUNCTION reject_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END
$$;

-- One row: what belongs to this installation alone.
CREATE TABLE installation (
    id smallint PRIMARY KEY DEFAULT 1,
    key_secret bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT installation_single_row CHECK (id = 1)
);
COMMENT ON COLUMN installation.key_secret IS 'key of the keyed hash of API keys; 32 random bytes';
-- Two random UUIDs carry 244 random bits, and need no extension.
INSERT INTO installation (key_secret) VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));

CREATE TABLE locations (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    parent_id uuid CONSTRAINT locations_parent_fk REFERENCES locations (id) ON DELETE RESTRICT,
    kind text NOT NULL,
    name text NOT NULL,
    timezone text,
    maintenance boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    path uuid [] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT locations_kind CHECK (kind IN ('site', 'building', 'floor', 'zone', 'room')),
    CONSTRAINT locations_name CHECK (name <> ''),
    CONSTRAINT locations_timezone_of_site CHECK (timezone IS NULL OR kind = 'site'),
    CONSTRAINT locations_path_ends_in_self CHECK (path[cardinality(path)] = id)
);
COMMENT ON COLUMN locations.path IS 'ids from the root to this node; subtree of x = path @> ARRAY[x], ancestors = path';
CREATE INDEX locations_path ON locations USING gin (path);
CREATE UNIQUE INDEX locations_sibling_name
ON locations (coalesce(parent_id, '00000000-0000-0000-0000-000000000000'), kind, name);

CREATE FUNCTION locations_set_path() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    above uuid[] := '{}';
BEGIN
    IF NEW.parent_id IS NOT NULL THEN
        SELECT path INTO above FROM locations WHERE id = NEW.parent_id FOR SHARE;
    END IF;
    IF NEW.id = ANY (above) THEN
        RAISE EXCEPTION 'location % cannot lie below itself', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'locations_no_cycle';
    END IF;
    NEW.path := coalesce(above, '{}') || NEW.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER locations_path_kept BEFORE INSERT OR UPDATE OF parent_id, path ON locations
FOR EACH ROW EXECUTE FUNCTION locations_set_path();

CREATE FUNCTION locations_move_children() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    UPDATE locations SET path = path WHERE parent_id = NEW.id;  -- each child takes its path from its parent
    RETURN NULL;
END
$$;
CREATE TRIGGER locations_children_follow AFTER UPDATE OF parent_id, path ON locations
FOR EACH ROW WHEN (OLD.path IS DISTINCT FROM NEW.path) EXECUTE FUNCTION locations_move_children();

CREATE TABLE device_types (
    code varchar(50) PRIMARY KEY,
    category text NOT NULL,
    manufacturer varchar(100) NOT NULL,
    model varchar(100) NOT NULL,
    codec varchar(100) NOT NULL,
    dev_eui_prefixes text [] NOT NULL DEFAULT '{}',
    uplink_interval_s integer NOT NULL,
    silent_after_intervals integer NOT NULL DEFAULT 3,
    default_config jsonb NOT NULL DEFAULT '{}',
    capabilities jsonb NOT NULL DEFAULT '{}',
    shipped boolean NOT NULL DEFAULT false,
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT device_types_code CHECK (code ~ '^[a-z0-9_]+$'),
    CONSTRAINT device_types_category CHECK (category IN ('sensor', 'display')),
    CONSTRAINT device_types_uplink_interval CHECK (uplink_interval_s > 0),
    CONSTRAINT device_types_silent_after CHECK (silent_after_intervals > 0)
);
COMMENT ON TABLE device_types IS 'catalogue: what every device of a type has in common; shipped rows are upserted';
COMMENT ON COLUMN device_types.silent_after_intervals IS
'a sensor silent for uplink_interval_s times this is no longer believed';
