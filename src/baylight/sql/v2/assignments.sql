-- The keys of device_assignments are costly to keep row by row, and building them locks the table for long. So only the
-- backfill writes the table until they are built: changes are logged, and replayed afterwards.

CREATE OR REPLACE FUNCTION v2_migration.log_assignments() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO v2_migration.assignment_log (space_id, role, device_id, reason, actor)
    SELECT NEW.id, r.role, r.device_id,
           coalesce(nullif(current_setting('baylight.assignment_reason', true), ''),
                    CASE WHEN r.device_before IS NULL THEN 'install' ELSE 'swap' END),
           coalesce(nullif(current_setting('baylight.actor', true), ''), session_user)
    FROM (
        VALUES ('sensor', CASE WHEN OLD.deleted_at IS NULL THEN OLD.sensor_device_id END,
                CASE WHEN NEW.deleted_at IS NULL THEN NEW.sensor_device_id END),
               ('display', CASE WHEN OLD.deleted_at IS NULL THEN OLD.display_device_id END,
                CASE WHEN NEW.deleted_at IS NULL THEN NEW.display_device_id END)
    ) AS r (role, device_before, device_id)
    WHERE r.device_id IS DISTINCT FROM r.device_before;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION v2_migration.refuse_assignments() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'assignments cannot be changed here before the stage backfill is done'
        USING ERRCODE = 'lock_not_available';
END
$$;

-- Do what the trigger of spaces would have done at the time of each change. Return the number of changes.
CREATE OR REPLACE FUNCTION v2_migration.replay_assignments(change_limit integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changes v2_migration.assignment_log[];
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    WITH replayed AS (
        DELETE FROM v2_migration.assignment_log
        WHERE id IN (SELECT id FROM v2_migration.assignment_log ORDER BY id LIMIT change_limit)
        RETURNING *
    )
    SELECT array_agg(t::v2_migration.assignment_log ORDER BY t.id) INTO changes FROM replayed AS t;
    UPDATE baylight_next.device_assignments AS a
    SET valid = tstzrange(lower(a.valid), greatest(c.at, lower(a.valid) + interval '1 microsecond'))
    FROM (
        SELECT DISTINCT ON (space_id, role) space_id, role, at FROM unnest(changes) ORDER BY space_id, role, id
    ) AS c
    WHERE a.space_id = c.space_id AND a.role = c.role AND a.superseded_at IS NULL AND upper_inf(a.valid);
    INSERT INTO baylight_next.device_assignments (
        space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor, recorded_at
    )
    SELECT c.space_id, c.role, s.id, d.id, tstzrange(c.at, c.until), coalesce(s.mobile, d.shared), c.reason, c.actor, c.at
    FROM (
        SELECT u.*, lead(u.at) OVER (PARTITION BY u.space_id, u.role ORDER BY u.id) AS until FROM unnest(changes) AS u
    ) AS c
    LEFT JOIN baylight_next.sensor_devices AS s ON c.role = 'sensor' AND s.id = c.device_id
    LEFT JOIN baylight_next.display_devices AS d ON c.role = 'display' AND d.id = c.device_id
    WHERE c.device_id IS NOT NULL AND coalesce(c.until > c.at, true)
    ORDER BY c.at;
    PERFORM set_config('baylight.v2_sync', '', true);
    RETURN coalesce(cardinality(changes), 0);
END
$$;

CREATE OR REPLACE TRIGGER v2_log_assignments
AFTER INSERT OR UPDATE OF sensor_device_id, display_device_id, sensor_deveui, display_deveui, deleted_at
ON baylight_next.spaces
FOR EACH ROW WHEN (current_setting('baylight.v2_bulk', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.log_assignments();
CREATE OR REPLACE TRIGGER v2_refuse_assignments BEFORE INSERT OR UPDATE ON baylight_next.device_assignments
FOR EACH STATEMENT WHEN (
    current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on'
)
EXECUTE FUNCTION v2_migration.refuse_assignments();
ALTER TABLE baylight_next.spaces DISABLE TRIGGER spaces_assignments_recorded;
