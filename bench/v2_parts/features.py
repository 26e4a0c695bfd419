"""Features of V2 databases that people really have: each is SQL on top of V2's own tables, run by their owner.

They follow row by row what was found in the field: dirty values, and the customer's own objects around V2's tables.
"""

from __future__ import annotations

from dataclasses import dataclass

REFUSED = "refused"
CARRIED = "carried"

SEED = """
INSERT INTO spaces (name, code, building, floor, zone, sensor_eui, display_eui)
SELECT 'Bay ' || n, 'S' || n, 'B' || n % 3, (n % 2)::text, 'Z', '58a0cb' || lpad(to_hex(n), 10, '0'),
       '202020' || lpad(to_hex(n), 10, '0')
FROM generate_series(1, 24) AS n;
INSERT INTO state_changes (space_id, previous_state, new_state, source) SELECT id, 'FREE', state, 'uplink' FROM spaces;
INSERT INTO reservations (space_id, start_time, end_time, user_email)
SELECT id, now() + interval '1 d', now() + interval '1 d 2 h', code || '@example.org' FROM spaces WHERE code LIKE 'S1%';
INSERT INTO sensor_readings (device_eui, space_id, occupancy_state, rssi)
SELECT sensor_eui, id, 'FREE', -80 FROM spaces WHERE sensor_eui IS NOT NULL;
"""


@dataclass(frozen=True, slots=True)
class Feature:
    """Feature of a database. `outcome`: CARRIED through all stages and back, or REFUSED before the first step."""

    key: str
    sql: str
    outcome: str = CARRIED


_AUDIT = """
CREATE TABLE spaces_audit (id bigserial PRIMARY KEY, at timestamptz DEFAULT now(), op text, new_row jsonb);
GRANT ALL ON spaces_audit TO parking; GRANT ALL ON SEQUENCE spaces_audit_id_seq TO parking;
CREATE FUNCTION audit_spaces() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO spaces_audit (op, new_row) VALUES (TG_OP, to_jsonb(NEW)); RETURN NULL; END $$;
CREATE TRIGGER customer_audit AFTER INSERT OR UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION audit_spaces();
"""
_NEW_RESERVATION = "INSERT INTO reservations (space_id, start_time, end_time{more}) SELECT id, {start}, {end}{values} "

CARRIED_FEATURES = (
    Feature("clean", ""),
    Feature("closed", "UPDATE spaces SET state = 'MAINTENANCE' WHERE code IN ('S1', 'S2')"),
    Feature("reserved_by_hand", "UPDATE spaces SET state = 'RESERVED' WHERE code IN ('S3', 'S11')"),
    Feature("audit_trigger", _AUDIT),
    Feature("extra_column", "ALTER TABLE spaces ADD COLUMN price numeric; UPDATE spaces SET price = 3"),
    Feature(
        "generated_column",
        "ALTER TABLE spaces ADD COLUMN label text GENERATED ALWAYS AS (building || code) STORED;"
        "ALTER TABLE reservations ADD COLUMN plate text DEFAULT 'none'; ALTER TABLE state_changes ADD COLUMN who text",
    ),
    Feature("upper_case", "UPDATE spaces SET sensor_eui = upper(sensor_eui) WHERE code IN ('S1', 'S9', 'S11')"),
    Feature("bad_euis", "UPDATE spaces SET sensor_eui = 'x' || code, display_eui = '' WHERE code IN ('S4', 'S5')"),
    Feature(
        "contested_sensor",
        "UPDATE spaces SET sensor_eui = upper((SELECT sensor_eui FROM spaces WHERE code = 'S10')) WHERE code = 'S12'",
    ),
    Feature(
        "both_roles",
        "UPDATE spaces SET display_eui = (SELECT sensor_eui FROM spaces WHERE code = 'S6') WHERE code = 'S7'",
    ),
    Feature(
        "shared_display",
        "UPDATE spaces SET display_eui = (SELECT display_eui FROM spaces WHERE code = 'S8')"
        " WHERE code IN ('S9', 'S10')",
    ),
    Feature("deleted_with_devices", "UPDATE spaces SET deleted_at = now() WHERE code IN ('S13', 'S14')"),
    Feature(
        "half_position",
        "UPDATE spaces SET gps_latitude = 47.5 WHERE code = 'S1'; UPDATE spaces SET building = '' WHERE code = 'S2'",
    ),
    Feature(
        "overlaps",
        _NEW_RESERVATION.format(start="now() + interval '25 h'", end="now() + interval '26 h'", more="", values="")
        + "FROM spaces WHERE code IN ('S1', 'S10', 'S11')",
    ),
    Feature(
        "future_readings",
        "INSERT INTO sensor_readings (device_eui, occupancy_state, timestamp)"
        " SELECT sensor_eui, 'FREE', now() + interval '10 y' FROM spaces WHERE code IN ('S1', 'S2');"
        "INSERT INTO sensor_readings (device_eui, occupancy_state, timestamp)"
        " SELECT sensor_eui, 'FREE', 'infinity' FROM spaces WHERE code = 'S3'",
    ),
    Feature(
        "strange_times",
        "UPDATE spaces SET created_at = 'infinity' WHERE code = 'S1';"
        "UPDATE spaces SET created_at = '0044-03-15 BC' WHERE code = 'S2';"
        "UPDATE spaces SET created_at = '20000-01-01' WHERE code = 'S3'",
    ),
    Feature(
        "long_source",
        "ALTER TABLE state_changes ALTER source TYPE text;"
        "INSERT INTO state_changes (space_id, new_state, source) SELECT id, 'FREE', repeat('s', 60) FROM spaces"
        " WHERE code = 'S12'",
    ),
    Feature(
        "long_phone",
        "ALTER TABLE reservations ALTER user_phone TYPE varchar(60);"
        + _NEW_RESERVATION.format(
            start="now() + interval '3 d'",
            end="now() + interval '73 h'",
            more=", user_phone",
            values=", '+44 (0) 118 999 881 999 119'",
        )
        + "FROM spaces WHERE code = 'S12'",
    ),
    Feature(
        "hand_made_keys",
        "INSERT INTO api_keys (id, key_hash, key_name) VALUES"
        " ('00000000-0000-0000-0000-000000000001', '$2b$12$a', 'k1'),"
        " ('00000000-0000-0000-0000-000000000002', '$2b$12$b', 'k2')",
    ),
    Feature(
        "end_before_start",
        "ALTER TABLE reservations DROP CONSTRAINT valid_times;"
        + _NEW_RESERVATION.format(start="now() + interval '5 d'", end="now() + interval '4 d'", more="", values="")
        + "FROM spaces WHERE code = 'S12'",
    ),
    Feature(
        "a_week_long",
        "ALTER TABLE reservations DROP CONSTRAINT valid_duration;"
        + _NEW_RESERVATION.format(start="now() + interval '5 d'", end="now() + interval '12 d'", more="", values="")
        + "FROM spaces WHERE code = 'S12'",
    ),
    Feature(
        "far_position",
        "ALTER TABLE spaces DROP CONSTRAINT valid_gps; UPDATE spaces SET gps_latitude = 95, gps_longitude = 95"
        " WHERE code = 'S15'",
    ),
    Feature("customer_view", "CREATE VIEW free_spaces AS SELECT code FROM spaces WHERE state = 'FREE'"),
    Feature(
        "customer_table",
        "CREATE TABLE permits (id serial PRIMARY KEY, space uuid REFERENCES spaces (id));"
        "INSERT INTO permits (space) SELECT id FROM spaces WHERE code = 'S1'",
    ),
    Feature("customer_check", "ALTER TABLE spaces ADD CONSTRAINT named CHECK (length(name) > 1)"),
    Feature("customer_index", "CREATE INDEX by_name ON spaces (name); COMMENT ON TABLE spaces IS 'our bays'"),
    Feature(
        "customer_function",
        "CREATE FUNCTION free_count() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM spaces'",
    ),
    Feature("reporting_role", "GRANT SELECT ON spaces, state_changes TO pg_monitor"),
    Feature(
        "touch_trigger",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.metadata :="
        " coalesce(NEW.metadata, '{}') || '{\"touched\": true}'; RETURN NEW; END $$;"
        "CREATE TRIGGER touch BEFORE INSERT ON spaces FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    Feature("publication_of_spaces", "CREATE PUBLICATION p FOR TABLE spaces, reservations"),
    Feature(
        "gapped_history",
        "INSERT INTO state_changes (id, space_id, new_state, source)"
        " SELECT 1000000000000, id, 'FREE', 'x' FROM spaces WHERE code = 'S1'",
    ),
    Feature(
        "extension_in_use",
        "CREATE EXTENSION IF NOT EXISTS btree_gist;"
        "CREATE TABLE shifts (who int, during tstzrange, EXCLUDE USING gist (who WITH =, during WITH &&))",
    ),
)
REFUSED_FEATURES = tuple(
    Feature(key, sql, REFUSED)
    for key, sql in (
        ("strange_state", "ALTER TABLE spaces DROP CONSTRAINT valid_state;"
                          "UPDATE spaces SET state = 'CHARGING' WHERE code = 'S12'"),
        ("forced_row_security", "ALTER TABLE spaces ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
                                "CREATE POLICY a ON spaces TO parking USING (true)"),
        ("row_security", "ALTER TABLE spaces ENABLE ROW LEVEL SECURITY;"
                         "CREATE POLICY own_rows ON spaces FOR SELECT TO parking USING (building = 'B1')"),
        ("inherits", "CREATE TABLE spaces_vip (vip boolean) INHERITS (spaces);"
                     "INSERT INTO spaces_vip (name, code, vip) VALUES ('vip', 'VIP1', true)"),
        ("publication_of_all", "CREATE PUBLICATION everything FOR ALL TABLES"),
        ("column_without_default", "ALTER TABLE spaces ADD COLUMN tariff text;"
                                   "UPDATE spaces SET tariff = 'a'; ALTER TABLE spaces ALTER tariff SET NOT NULL"),
        ("function_name", "CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql"
                          " AS 'BEGIN NEW.updated_at = now(); RETURN NEW; END'"),
        ("index_name", "CREATE TABLE permits (id serial, space uuid); CREATE INDEX spaces_location ON permits (space)"),
        ("type_name", "CREATE TYPE locations AS ENUM ('a')"),
        ("table_name", "CREATE TABLE audit_log (id serial)"),
        ("schema_of_role", "CREATE SCHEMA parking; CREATE TABLE parking.spaces (x int)"),
        ("overloaded_function", "CREATE FUNCTION uuid7(int) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'"),
        ("last_id", "INSERT INTO state_changes (id, space_id, new_state, source)"
                    " SELECT 9223372036854775800, id, 'FREE', 'x' FROM spaces WHERE code = 'S1'"),
    )
)  # fmt: skip
"""Each stands for a line of what was found: the tool must foresee it, and refuse before it creates anything."""
