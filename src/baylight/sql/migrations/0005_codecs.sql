-- JavaScript payload codecs: versions that never change, of which one at a time is active.
CREATE TABLE payload_codecs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text NOT NULL,
    version integer NOT NULL,
    source text NOT NULL,
    mapping jsonb,
    examples jsonb NOT NULL,
    notes text,
    active boolean NOT NULL DEFAULT false,
    activated_at timestamptz,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payload_codecs_version_key UNIQUE (name, version),
    CONSTRAINT payload_codecs_name CHECK (name ~ '^[a-z0-9_]{1,60}$'),
    CONSTRAINT payload_codecs_version CHECK (version > 0),
    CONSTRAINT payload_codecs_mapping CHECK (jsonb_typeof(mapping) = 'object'),
    CONSTRAINT payload_codecs_examples CHECK (jsonb_typeof(examples) = 'array')
);
COMMENT ON TABLE payload_codecs IS 'device_types.codec and sensor_devices.payload_decoder name one as js:<name>';
COMMENT ON COLUMN payload_codecs.mapping IS 'which decoded fields mean OCCUPIED and FREE; null: it tells no occupancy';
CREATE UNIQUE INDEX payload_codecs_one_active ON payload_codecs (name) WHERE active;

CREATE FUNCTION payload_codecs_keep() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'version % of the codec % is fixed: add another one', OLD.version, OLD.name
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'payload_codecs_fixed';
END
$$;
CREATE TRIGGER payload_codecs_fixed
BEFORE UPDATE OF id, name, version, source, mapping, examples, notes, created_by, created_at ON payload_codecs
FOR EACH ROW EXECUTE FUNCTION payload_codecs_keep();
CREATE TRIGGER payload_codecs_kept BEFORE DELETE ON payload_codecs
FOR EACH ROW EXECUTE FUNCTION payload_codecs_keep();
