-- One bound for JSON that people fill: 20 levels, 16 KiB, 200 keys. Beyond it no answer of the API can contain the row.

-- The same bound as in domain/bounded_json.py; a test compares the two. A text of 41 bytes cannot have 21 levels, and one
-- of 1000 bytes cannot have 201 keys, so most rows need no search.
CREATE FUNCTION json_is_bounded(value jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN octet_length(value::text) <= 41 THEN true
    WHEN octet_length(value::text) > 16384 THEN false
    WHEN jsonb_path_exists(value, 'strict $.**{20} ? (@.type() == "object" || @.type() == "array")') THEN false
    WHEN octet_length(value::text) <= 1000 THEN true
    ELSE jsonb_array_length(jsonb_path_query_array(value, 'strict $.** ? (@.type() == "object").keyvalue()')) <= 200
END;

-- True if each item of an array is within the bound.
CREATE FUNCTION json_items_are_bounded(items jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (SELECT coalesce(bool_and(json_is_bounded(item)), true) FROM jsonb_array_elements(items) AS item);

-- Metadata of earlier versions beyond the bound is kept here. No other part of the program reads it.
CREATE TABLE metadata_set_aside (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    object_type text NOT NULL,
    object_id uuid NOT NULL,
    metadata jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE metadata_set_aside IS 'metadata that was too deep or too big for its row when the bound came';
INSERT INTO metadata_set_aside (object_type, object_id, metadata)
SELECT 'space', id, metadata FROM spaces WHERE NOT json_is_bounded(metadata)
UNION ALL
SELECT 'location', id, metadata FROM locations WHERE NOT json_is_bounded(metadata)
UNION ALL
SELECT 'reservation', id, metadata FROM reservations WHERE NOT json_is_bounded(metadata);
UPDATE spaces SET metadata = NULL WHERE NOT json_is_bounded(metadata);
UPDATE locations SET metadata = '{}' WHERE NOT json_is_bounded(metadata);
UPDATE reservations SET metadata = NULL WHERE NOT json_is_bounded(metadata);

-- What devices are configured by cannot be set aside. The upgrade names it and changes nothing.
DO $$
DECLARE
    found text;
BEGIN
    SELECT string_agg(name, ', ' ORDER BY name) INTO found FROM (
        SELECT 'device type ' || code AS name FROM device_types
        WHERE NOT json_is_bounded(default_config) OR NOT json_is_bounded(capabilities)
        UNION ALL
        SELECT 'sensor ' || dev_eui FROM sensor_devices WHERE NOT json_is_bounded(capabilities)
        UNION ALL
        SELECT 'display ' || dev_eui FROM display_devices WHERE NOT json_is_bounded(display_codes)
        UNION ALL
        SELECT 'codec ' || name || ' version ' || version FROM payload_codecs
        WHERE NOT json_is_bounded(mapping) OR NOT json_items_are_bounded(examples)
    ) AS beyond;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'JSON with more than 20 levels, 16 KiB or 200 keys: %. Correct these rows first', left(found, 2000)
            USING ERRCODE = 'check_violation', CONSTRAINT = 'json_bounded';
    END IF;
END
$$;

ALTER TABLE spaces ADD CONSTRAINT spaces_metadata_bounded CHECK (json_is_bounded(metadata)) NOT VALID;
ALTER TABLE locations ADD CONSTRAINT locations_metadata_bounded CHECK (json_is_bounded(metadata)) NOT VALID;
ALTER TABLE reservations ADD CONSTRAINT reservations_metadata_bounded CHECK (json_is_bounded(metadata)) NOT VALID;
ALTER TABLE device_types ADD CONSTRAINT device_types_config_bounded CHECK (json_is_bounded(default_config)) NOT VALID,
ADD CONSTRAINT device_types_capabilities_bounded CHECK (json_is_bounded(capabilities)) NOT VALID;
ALTER TABLE sensor_devices
ADD CONSTRAINT sensor_devices_capabilities_bounded CHECK (json_is_bounded(capabilities)) NOT VALID;
ALTER TABLE display_devices ADD CONSTRAINT display_devices_codes_bounded CHECK (json_is_bounded(display_codes)) NOT VALID;
ALTER TABLE payload_codecs ADD CONSTRAINT payload_codecs_mapping_bounded CHECK (json_is_bounded(mapping)) NOT VALID,
ADD CONSTRAINT payload_codecs_examples_bounded CHECK (json_items_are_bounded(examples)) NOT VALID;
