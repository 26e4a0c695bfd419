-- Functions that carry spaces and their devices, one by one for triggers and sweeps, many at once for the backfill.

-- Devices and location that each V2 space asks for, and what stands in the way.
CREATE OR REPLACE FUNCTION v2_migration.wanted(ids uuid[]) RETURNS v2_migration.want[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT array_agg(ROW(
           w.id,
           CASE WHEN w.sensor_problem IS NULL THEN w.sensor_canon END,
           CASE WHEN w.display_problem IS NULL THEN w.display_canon END,
           w.sensor_problem, w.display_problem, w.display_shared, w.half_position, w.state)::v2_migration.want)
    FROM (
        SELECT l.id, l.state, c.sensor_canon, c.display_canon,
            CASE
                WHEN l.sensor_eui IS NULL THEN NULL
                WHEN c.sensor_canon IS NULL THEN 'bad_eui'
                WHEN l.deleted_at IS NOT NULL THEN 'deleted_space'
                WHEN cs.eui IS NOT NULL AND cs.winner IS DISTINCT FROM l.id THEN cs.reason
                WHEN cs.eui IS NULL AND EXISTS (
                    SELECT FROM baylight_next.spaces AS o
                    WHERE o.sensor_deveui = c.sensor_canon AND o.deleted_at IS NULL AND o.id <> l.id
                ) THEN 'contested_sensor'
            END AS sensor_problem,
            CASE
                WHEN l.display_eui IS NULL THEN NULL
                WHEN c.display_canon IS NULL THEN 'bad_eui'
                WHEN l.deleted_at IS NOT NULL THEN 'deleted_space'
                WHEN cd.eui IS NOT NULL AND NOT cd.shared THEN cd.reason
            END AS display_problem,
            coalesce(cd.shared, false) AS display_shared,
            (l.gps_latitude IS NULL) <> (l.gps_longitude IS NULL) AS half_position
        FROM public.spaces AS l
        CROSS JOIN LATERAL (
            SELECT v2_migration.canon_eui(l.sensor_eui) AS sensor_canon, v2_migration.canon_eui(l.display_eui) AS display_canon
            OFFSET 0  -- computed once, not at each mention
        ) AS c
        LEFT JOIN v2_migration.contested AS cs ON cs.role = 'sensor' AND cs.eui = c.sensor_canon
        LEFT JOIN v2_migration.contested AS cd ON cd.role = 'display' AND cd.eui = c.display_canon
        WHERE l.id = ANY(ids)
    ) AS w);
END
$$;

-- Note which values of spaces could not be carried, and the spellings that the new schema does not have.
CREATE OR REPLACE FUNCTION v2_migration.note_spaces(ids uuid[], wants v2_migration.want[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM v2_migration.quarantine WHERE source_table = 'spaces' AND source_id = ANY(ids::text[]);
    DELETE FROM v2_migration.residue WHERE space_id = ANY(ids);
    INSERT INTO v2_migration.quarantine (source_table, source_id, field, value, reason)
    SELECT 'spaces', l.id::text, f.field, f.value, f.reason
    FROM unnest(wants) AS w
    INNER JOIN public.spaces AS l ON l.id = w.id
    CROSS JOIN LATERAL (
        VALUES ('sensor_eui', l.sensor_eui::text, nullif(w.sensor_problem, 'deleted_space')),
               ('display_eui', l.display_eui::text, nullif(w.display_problem, 'deleted_space')),
               ('gps', concat_ws(',', coalesce(l.gps_latitude::text, '-'), coalesce(l.gps_longitude::text, '-')),
                CASE WHEN w.half_position THEN 'half_position' END),
               ('building', l.building::text, CASE WHEN l.building = '' THEN 'empty_name' END),
               ('floor', l.floor::text, CASE WHEN l.floor = '' THEN 'empty_name' END),
               ('zone', l.zone::text, CASE WHEN l.zone = '' THEN 'empty_name' END),
               ('created_at', l.created_at::text, CASE WHEN NOT v2_migration.is_plain_time(l.created_at) THEN 'bad_time' END),
               ('updated_at', l.updated_at::text, CASE WHEN NOT v2_migration.is_plain_time(l.updated_at) THEN 'bad_time' END),
               ('deleted_at', l.deleted_at::text, CASE WHEN NOT v2_migration.is_plain_time(l.deleted_at) THEN 'bad_time' END)
    ) AS f (field, value, reason)
    WHERE f.reason IS NOT NULL
      AND (w.sensor_problem IS NOT NULL OR w.display_problem IS NOT NULL OR w.half_position
           OR '' IN (l.building, l.floor, l.zone)
           OR NOT (v2_migration.is_plain_time(l.created_at) AND v2_migration.is_plain_time(l.updated_at)
                   AND v2_migration.is_plain_time(l.deleted_at)))
    ON CONFLICT (source_table, source_id, field) DO NOTHING;
    INSERT INTO v2_migration.residue
    SELECT l.id, l.sensor_eui, s.sensor_deveui, l.display_eui, s.display_deveui, l.building, l.floor, l.zone,
           l.gps_latitude, l.gps_longitude
    FROM public.spaces AS l
    INNER JOIN baylight_next.spaces AS s ON s.id = l.id
    WHERE l.id = ANY(ids)
      AND (l.sensor_eui IS DISTINCT FROM s.sensor_deveui OR l.display_eui IS DISTINCT FROM s.display_deveui
           OR '' IN (l.building, l.floor, l.zone) OR (l.gps_latitude IS NULL) <> (l.gps_longitude IS NULL))
    ON CONFLICT (space_id) DO NOTHING;
END
$$;

-- Register the devices that are not registered yet. In bulk, the events that a trigger would write are written here, for
-- all at once.
CREATE OR REPLACE FUNCTION v2_migration.register_devices(wants v2_migration.want[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bulk boolean := coalesce(current_setting('baylight.v2_bulk', true), '') = 'on';
    moment text := v2_migration.moment();
BEGIN
    WITH made AS (
        INSERT INTO baylight_next.sensor_devices (
            id, dev_eui, device_type, lifecycle_state, last_seen_at, rssi_dbm, snr_db, occupancy, occupancy_at
        )
        SELECT v2_migration.id_at(moment), n.eui, (
            SELECT r.device_type FROM v2_migration.type_rules AS r
            WHERE r.role = 'sensor' AND starts_with(n.eui, r.prefix) ORDER BY length(r.prefix) DESC LIMIT 1
        ), 'active', r.seen_at, r.rssi, r.snr, r.occupancy, CASE WHEN r.occupancy IS NOT NULL THEN r.seen_at END
        FROM (
            SELECT DISTINCT w.sensor_deveui AS eui FROM unnest(wants) AS w
            WHERE w.sensor_deveui IS NOT NULL
              AND NOT EXISTS (SELECT FROM baylight_next.sensor_devices AS d WHERE d.dev_eui = w.sensor_deveui)
        ) AS n
        LEFT JOIN LATERAL v2_migration.last_reading(n.eui) AS r ON true
        ORDER BY n.eui
        ON CONFLICT (dev_eui) DO NOTHING
        RETURNING id, dev_eui, lifecycle_state
    )
    INSERT INTO baylight_next.device_lifecycle_events (role, device_id, dev_eui, new_state, actor)
    SELECT 'sensor', id, dev_eui, lifecycle_state, 'v2' FROM made WHERE bulk;
    WITH kinds AS MATERIALIZED (
        SELECT r.prefix, t.code, k.codes, coalesce((t.default_config ->> 'f_port')::integer, 15) AS fport,
               coalesce((t.default_config ->> 'confirmed_downlinks')::boolean, false) AS confirmed
        FROM v2_migration.type_rules AS r
        INNER JOIN baylight_next.device_types AS t ON t.code = r.device_type
        CROSS JOIN v2_migration.control AS c
        CROSS JOIN LATERAL (
            SELECT coalesce(t.default_config -> 'display_codes', '{}') || coalesce(c.choices -> 'display_codes', '{}')
        ) AS k (codes)
        WHERE r.role = 'display'
    ), made AS (
        INSERT INTO baylight_next.display_devices (
            id, dev_eui, device_type, display_codes, fport, confirmed_downlinks, lifecycle_state, shared,
            desired_state, desired_code, desired_at
        )
        SELECT v2_migration.id_at(moment), n.display_deveui, k.code, k.codes, k.fport, k.confirmed, 'active',
               n.display_shared, n.state, k.codes ->> n.state, clock_timestamp()
        FROM (
            SELECT DISTINCT ON (w.display_deveui) w.display_deveui, w.display_shared, w.state FROM unnest(wants) AS w
            WHERE w.display_deveui IS NOT NULL
              AND NOT EXISTS (SELECT FROM baylight_next.display_devices AS d WHERE d.dev_eui = w.display_deveui)
            ORDER BY w.display_deveui
        ) AS n
        CROSS JOIN LATERAL (
            SELECT * FROM kinds WHERE starts_with(n.display_deveui, kinds.prefix) ORDER BY length(kinds.prefix) DESC LIMIT 1
        ) AS k
        ORDER BY n.display_deveui
        ON CONFLICT (dev_eui) DO NOTHING
        RETURNING id, dev_eui, lifecycle_state
    )
    INSERT INTO baylight_next.device_lifecycle_events (role, device_id, dev_eui, new_state, actor)
    SELECT 'display', id, dev_eui, lifecycle_state, 'v2' FROM made WHERE bulk;
END
$$;

-- Create or correct single rows, for triggers and sweeps. The trigger of spaces records assignments.
CREATE OR REPLACE FUNCTION v2_migration.carry_spaces(ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    before text := coalesce(current_setting('baylight.v2_sync', true), '');
    owner_now text := (SELECT owner FROM v2_migration.control);
    wants v2_migration.want[];
    shared_now uuid[];
BEGIN
    PERFORM v2_migration.share_places();
    PERFORM set_config('baylight.v2_sync', 'on', true);
    wants := v2_migration.wanted(ids);
    PERFORM v2_migration.register_devices(wants);
    -- A display that serves one more space is shared, and so are the assignments that it has.
    WITH made AS (
        UPDATE baylight_next.display_devices SET shared = true
        WHERE id IN (
            SELECT d.id FROM unnest(wants) AS w
            INNER JOIN baylight_next.display_devices AS d ON d.dev_eui = w.display_deveui AND NOT d.shared
            INNER JOIN baylight_next.spaces AS o
                ON o.display_device_id = d.id AND o.deleted_at IS NULL AND o.id <> w.id
        )
        RETURNING id
    )
    SELECT array_agg(id) INTO shared_now FROM made;

    INSERT INTO baylight_next.spaces AS s (
        id, name, code, location_id, gps_latitude, gps_longitude, sensor_device_id, display_device_id,
        current_state, current_state_at, metadata, created_at, updated_at, deleted_at, recompute_at
    )
    SELECT l.id, l.name, l.code, v2_migration.place(l.building, l.floor, l.zone),
           CASE WHEN NOT w.half_position THEN l.gps_latitude END, CASE WHEN NOT w.half_position THEN l.gps_longitude END,
           sd.id, dd.id, l.state, coalesce(v2_migration.plain_time(l.updated_at), now()), l.metadata,
           v2_migration.plain_time(l.created_at), v2_migration.plain_time(l.updated_at),
           CASE WHEN v2_migration.is_plain_time(l.deleted_at) THEN l.deleted_at ELSE now() END,
           CASE WHEN owner_now = 'baylight' THEN now() END
    FROM public.spaces AS l
    INNER JOIN unnest(wants) AS w ON w.id = l.id
    LEFT JOIN baylight_next.sensor_devices AS sd ON sd.dev_eui = w.sensor_deveui
    LEFT JOIN baylight_next.display_devices AS dd ON dd.dev_eui = w.display_deveui
    ON CONFLICT (id) DO UPDATE SET
        name = excluded.name, gps_latitude = excluded.gps_latitude,
        code = CASE WHEN EXISTS (SELECT FROM v2_migration.aside AS a WHERE a.space_id = s.id AND a.code = excluded.code)
               THEN s.code ELSE excluded.code END,
        gps_longitude = excluded.gps_longitude, metadata = excluded.metadata, deleted_at = excluded.deleted_at,
        location_id = excluded.location_id, sensor_device_id = excluded.sensor_device_id,
        display_device_id = excluded.display_device_id,
        recompute_at = coalesce(excluded.recompute_at, s.recompute_at),
        current_state = CASE
            WHEN owner_now = 'v2' AND excluded.current_state IS DISTINCT FROM v2_migration.v2_state(s.current_state)
            THEN excluded.current_state ELSE s.current_state END;
    -- This query runs after the spaces are written, so its answer cannot change before the end of the transaction.
    IF shared_now IS NOT NULL AND NOT (SELECT assignments_logged FROM v2_migration.control) THEN
        UPDATE baylight_next.device_assignments SET shared = true
        WHERE device_id = ANY(shared_now) AND superseded_at IS NULL AND upper_inf(valid);
    END IF;
    PERFORM v2_migration.note_spaces(ids, wants);
    PERFORM set_config('baylight.v2_sync', before, true);
END
$$;

-- Carry a batch of spaces that are not there yet. Rows that V2 is writing at this moment are left out: a later batch
-- carries them.
CREATE OR REPLACE FUNCTION v2_migration.carry_new_spaces(candidates uuid[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- The tables are empty at first, and a plan for an empty table would be kept for a full one.
SET enable_hashjoin = off SET enable_mergejoin = off SET enable_seqscan = off SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    ids uuid[];
    wants v2_migration.want[];
    moment text := v2_migration.moment();
    unshared uuid[];
    carried integer;
BEGIN
    SELECT array_agg(t.id) INTO ids FROM (
        SELECT l.id FROM public.spaces AS l
        WHERE l.id = ANY(candidates) AND NOT EXISTS (SELECT FROM baylight_next.spaces AS s WHERE s.id = l.id)
        FOR SHARE OF l SKIP LOCKED
    ) AS t;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM v2_migration.share_places();
    PERFORM set_config('baylight.v2_sync', 'on', true), set_config('baylight.v2_bulk', 'on', true);
    wants := v2_migration.wanted(ids);
    SELECT array_agg(d.id) INTO unshared FROM unnest(wants) AS w
    INNER JOIN baylight_next.display_devices AS d ON d.dev_eui = w.display_deveui AND NOT d.shared;
    PERFORM v2_migration.register_devices(wants);
    IF unshared IS NOT NULL THEN
        -- V2 wrote another space of the display since the triggers are there, so that one is carried already.
        WITH made AS (
            UPDATE baylight_next.display_devices AS d SET shared = true
            WHERE d.id = ANY(unshared) AND EXISTS (
                SELECT FROM baylight_next.spaces AS o WHERE o.display_device_id = d.id AND o.deleted_at IS NULL)
            RETURNING d.id
        )
        UPDATE baylight_next.device_assignments AS a SET shared = true
        FROM made WHERE a.display_device_id = made.id AND a.superseded_at IS NULL AND upper_inf(a.valid);
    END IF;
    PERFORM v2_migration.place(p.building, p.floor, p.zone)
    FROM (SELECT DISTINCT l.building, l.floor, l.zone FROM public.spaces AS l WHERE l.id = ANY(ids)) AS p
    CROSS JOIN LATERAL v2_migration.known_place(p.building, p.floor, p.zone) AS k
    WHERE NOT k.known;
    WITH made AS (
        INSERT INTO baylight_next.spaces (
            id, name, code, location_id, gps_latitude, gps_longitude, sensor_device_id, display_device_id,
            sensor_deveui, display_deveui, current_state, current_state_at, metadata, created_at, updated_at, deleted_at, recompute_at
        )
        SELECT l.id, l.name, l.code,
               CASE WHEN k.known THEN k.id ELSE v2_migration.place(l.building, l.floor, l.zone) END,
               CASE WHEN NOT w.half_position THEN l.gps_latitude END,
               CASE WHEN NOT w.half_position THEN l.gps_longitude END,
               sd.id, dd.id, sd.dev_eui, dd.dev_eui, l.state, coalesce(v2_migration.plain_time(l.updated_at), now()),
               l.metadata, v2_migration.plain_time(l.created_at), v2_migration.plain_time(l.updated_at),
               CASE WHEN v2_migration.is_plain_time(l.deleted_at) THEN l.deleted_at ELSE now() END,
               CASE WHEN l.deleted_at IS NULL THEN clock_timestamp() END
        FROM public.spaces AS l
        INNER JOIN unnest(wants) AS w ON w.id = l.id
        CROSS JOIN LATERAL v2_migration.known_place(l.building, l.floor, l.zone) AS k
        LEFT JOIN baylight_next.sensor_devices AS sd ON sd.dev_eui = w.sensor_deveui
        LEFT JOIN baylight_next.display_devices AS dd ON dd.dev_eui = w.display_deveui
        RETURNING id, sensor_device_id, display_device_id, deleted_at
    ), assigned AS (
        INSERT INTO baylight_next.device_assignments (
            id, space_id, role, sensor_device_id, display_device_id, valid, shared, reason, actor
        )
        SELECT v2_migration.id_at(moment), m.id, r.role, r.sensor_id, r.display_id, tstzrange(clock_timestamp(), NULL),
               coalesce(d.shared, false), 'install', 'v2'
        FROM made AS m
        CROSS JOIN LATERAL (
            VALUES ('sensor', m.sensor_device_id, NULL), ('display', NULL, m.display_device_id)
        ) AS r (role, sensor_id, display_id)
        LEFT JOIN baylight_next.display_devices AS d ON d.id = r.display_id
        WHERE m.deleted_at IS NULL AND coalesce(r.sensor_id, r.display_id) IS NOT NULL
    )
    SELECT count(*) INTO carried FROM made;
    PERFORM v2_migration.note_spaces(ids, wants);
    PERFORM set_config('baylight.v2_sync', '', true), set_config('baylight.v2_bulk', '', true);
    RETURN carried;
END
$$;
