-- The migration's own tables. Nothing here touches a table of V2.
CREATE SCHEMA IF NOT EXISTS v2_migration;

CREATE TABLE IF NOT EXISTS v2_migration.steps (
    name text PRIMARY KEY,
    stage text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at timestamptz,
    place text,
    rows bigint NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0
);
COMMENT ON COLUMN v2_migration.steps.place IS 'how far a step in batches has come';
COMMENT ON COLUMN v2_migration.steps.tries IS 'how often the lock was asked for';

CREATE TABLE IF NOT EXISTS v2_migration.control (
    id smallint PRIMARY KEY DEFAULT 1,
    owner text NOT NULL DEFAULT 'v2',
    owner_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    choices jsonb NOT NULL DEFAULT '{}',
    made_btree_gist boolean NOT NULL DEFAULT false,
    last_reading bigint NOT NULL DEFAULT 0,
    first_own_change bigint,
    assignments_logged boolean NOT NULL DEFAULT true,
    CONSTRAINT control_single_row CHECK (id = 1),
    CONSTRAINT control_owner CHECK (owner IN ('v2', 'baylight'))
);
COMMENT ON COLUMN v2_migration.control.owner IS 'whose decisions count: V2''s until the switch';
COMMENT ON COLUMN v2_migration.control.first_own_change IS 'ids of state changes that Baylight makes begin here';
COMMENT ON COLUMN v2_migration.control.assignments_logged IS 'until the history of assignments is built: see assignment_log';
INSERT INTO v2_migration.control DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS v2_migration.type_rules (
    role text NOT NULL,
    prefix text NOT NULL,
    device_type text NOT NULL,
    PRIMARY KEY (role, prefix)
);

CREATE TABLE IF NOT EXISTS v2_migration.quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_table text NOT NULL,
    source_id text NOT NULL,
    field text NOT NULL,
    value text,
    reason text NOT NULL,
    detail text,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT quarantine_once UNIQUE (source_table, source_id, field)
);
COMMENT ON TABLE v2_migration.quarantine IS 'what could not be carried over, and why; the row itself stays in V2''s table';
CREATE INDEX IF NOT EXISTS quarantine_value ON v2_migration.quarantine (lower(value));

CREATE TABLE IF NOT EXISTS v2_migration.quarantine_drops (
    source_table text NOT NULL,
    source_id text NOT NULL,
    field text NOT NULL,
    value text,
    reason text NOT NULL,
    dropped_by text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (source_table, source_id, field)
);
COMMENT ON TABLE v2_migration.quarantine_drops IS 'values in quarantine that a person has decided to leave behind, and why';
CREATE OR REPLACE VIEW v2_migration.quarantine_open AS
SELECT q.* FROM v2_migration.quarantine AS q
WHERE NOT EXISTS (
    SELECT FROM v2_migration.quarantine_drops AS d
    WHERE d.source_table = q.source_table AND d.source_id = q.source_id AND d.field = q.field
      AND d.value IS NOT DISTINCT FROM q.value);

CREATE TABLE IF NOT EXISTS v2_migration.queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_table text NOT NULL,
    source_id text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL,
    tries integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE v2_migration.queue IS 'rows of V2 that Baylight''s rows must still follow; V2 only adds, and drain() deletes';
COMMENT ON COLUMN v2_migration.queue.reason IS 'why it waits: at first in V2''s transaction, then at the last try';
CREATE INDEX IF NOT EXISTS queue_row ON v2_migration.queue (source_table, source_id);
CREATE INDEX IF NOT EXISTS queue_next ON v2_migration.queue (tries, id);

CREATE TABLE IF NOT EXISTS v2_migration.residue (
    space_id uuid PRIMARY KEY,
    sensor_eui varchar(16),
    sensor_deveui varchar(16),
    display_eui varchar(16),
    display_deveui varchar(16),
    building varchar(100),
    floor varchar(20),
    zone varchar(50),
    gps_latitude numeric(10, 8),
    gps_longitude numeric(11, 8)
);
COMMENT ON TABLE v2_migration.residue IS 'V2''s own spelling of values that the new schema spells otherwise or cannot hold';
CREATE INDEX IF NOT EXISTS residue_sensor_eui ON v2_migration.residue (sensor_eui);

CREATE TABLE IF NOT EXISTS v2_migration.kept_states (
    space_id uuid PRIMARY KEY,
    state text NOT NULL
);
COMMENT ON TABLE v2_migration.kept_states IS 'V2''s state of spaces that Baylight calls UNKNOWN, for the way back; V2''s table says OCCUPIED';

CREATE TABLE IF NOT EXISTS v2_migration.late_states (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE v2_migration.late_states IS 'spaces whose row V2 held when Baylight decided: V2''s state follows as soon as it is free';

CREATE TABLE IF NOT EXISTS v2_migration.aside (
    space_id uuid PRIMARY KEY,
    code varchar(20),
    sensor_eui varchar(16),
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE v2_migration.aside IS 'deleted spaces that gave up their code or sensor in V2''s table, because another space has it now';
COMMENT ON COLUMN v2_migration.aside.code IS 'the code that the space has in V2''s table instead; null: its own';
COMMENT ON COLUMN v2_migration.aside.sensor_eui IS 'the sensor that V2''s table no longer has';

CREATE TABLE IF NOT EXISTS v2_migration.contested (
    role text NOT NULL,
    eui varchar(16) NOT NULL,
    winner uuid,
    shared boolean NOT NULL DEFAULT false,
    reason text NOT NULL,
    PRIMARY KEY (role, eui)
);
COMMENT ON COLUMN v2_migration.contested.winner IS 'the space that gets the device; null: none, unless it is shared';

CREATE TABLE IF NOT EXISTS v2_migration.observed_decisions (
    space_id uuid PRIMARY KEY,
    state text NOT NULL,
    reason text,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE v2_migration.observed_decisions IS 'what Baylight would have decided where V2 decided otherwise';

CREATE TABLE IF NOT EXISTS v2_migration.ignored_writes (
    space_id uuid PRIMARY KEY,
    state text NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    last_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE v2_migration.ignored_writes IS 'states that V2 wrote after the switch: Baylight''s stayed';

CREATE TABLE IF NOT EXISTS v2_migration.quiet_triggers (
    table_name text NOT NULL,
    trigger_name text NOT NULL,
    definition text NOT NULL,
    PRIMARY KEY (table_name, trigger_name)
);
COMMENT ON TABLE v2_migration.quiet_triggers IS 'triggers that rows carried in bulk do not fire, as they were before';

CREATE TABLE IF NOT EXISTS v2_migration.postponed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    definition text NOT NULL,
    CONSTRAINT postponed_kind CHECK (kind IN ('index', 'key', 'foreign_key', 'unvalidated'))
);
COMMENT ON TABLE v2_migration.postponed IS 'indexes and constraints that are built when the rows are there, as they were before';

CREATE TABLE IF NOT EXISTS v2_migration.assignment_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    space_id uuid NOT NULL,
    role text NOT NULL,
    device_id uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason text NOT NULL,
    actor text NOT NULL
);
COMMENT ON TABLE v2_migration.assignment_log IS 'changes of assignments, to be written when the keys of their table are built';

CREATE TABLE IF NOT EXISTS v2_migration.own_objects (
    kind text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (kind, name)
);
COMMENT ON TABLE v2_migration.own_objects IS 'what the contract stage moved into the public schema, and the schemas that it created for views';

DO $$
BEGIN
    IF to_regtype('v2_migration.want') IS NULL THEN
        CREATE TYPE v2_migration.want AS (
            id uuid, sensor_deveui varchar(16), display_deveui varchar(16), sensor_problem text, display_problem text,
            display_shared boolean, half_position boolean, state varchar(20)
        );
    END IF;
END
$$;
