-- Functions of the way back from the contract stage: they make V2's rows ready to follow Baylight's.

-- Set aside the codes and sensors of deleted spaces that another space has now: V2's UNIQUE constraints count deleted
-- spaces too. Of several deleted spaces with one code, the last one keeps it. Return what was set aside.
CREATE OR REPLACE FUNCTION v2_migration.set_aside() RETURNS TABLE (code text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
    WITH doubled AS (
        SELECT s.id, s.code, row_number() OVER (
            PARTITION BY s.code ORDER BY s.deleted_at DESC NULLS FIRST, s.id
        ) AS place
        FROM baylight_next.spaces AS s
        WHERE NOT EXISTS (SELECT FROM v2_migration.aside AS a WHERE a.space_id = s.id AND a.code IS NOT NULL)
    ), moved AS (
        INSERT INTO v2_migration.aside AS a (space_id, code)
        SELECT d.id, left(d.code, 14) || '~' || left(md5(d.id::text), 5) FROM doubled AS d WHERE d.place > 1
        ON CONFLICT (space_id) DO UPDATE SET code = excluded.code
        RETURNING a.space_id, a.code
    )
    SELECT d.code::text, format('deleted: its code in V2 is %s', m.code)
    FROM moved AS m INNER JOIN doubled AS d ON d.id = m.space_id;

    RETURN QUERY
    WITH lost AS (
        UPDATE v2_migration.residue AS x SET sensor_eui = NULL
        FROM baylight_next.spaces AS s, v2_migration.residue AS b
        WHERE s.id = x.space_id AND s.deleted_at IS NOT NULL AND b.space_id = x.space_id AND b.sensor_eui IS NOT NULL
          AND EXISTS (SELECT FROM v2_migration.old_spaces AS o WHERE o.id <> x.space_id AND o.sensor_eui = b.sensor_eui)
        RETURNING x.space_id, s.code AS of_space, b.sensor_eui AS eui
    ), noted AS (
        INSERT INTO v2_migration.aside (space_id, sensor_eui) SELECT l.space_id, l.eui FROM lost AS l
        ON CONFLICT (space_id) DO UPDATE SET sensor_eui = excluded.sensor_eui
    )
    SELECT l.of_space::text, format('deleted: V2 no longer has its sensor %s', l.eui) FROM lost AS l;
END
$$;

-- Release the codes and sensors that another space must get, so that spaces which exchanged them can follow one by one.
CREATE OR REPLACE FUNCTION v2_migration.make_room() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM set_config('baylight.v2_sync', 'on', true);
    UPDATE public.spaces AS l SET code = '~' || left(md5(l.id::text), 19)
    FROM v2_migration.old_spaces AS o
    WHERE o.id = l.id AND l.code <> o.code
      AND EXISTS (SELECT FROM v2_migration.old_spaces AS t WHERE t.code = l.code AND t.id <> l.id);
    UPDATE public.spaces AS l SET sensor_eui = NULL
    FROM v2_migration.old_spaces AS o
    WHERE o.id = l.id AND l.sensor_eui IS DISTINCT FROM o.sensor_eui
      AND EXISTS (SELECT FROM v2_migration.old_spaces AS t WHERE t.sensor_eui = l.sensor_eui AND t.id <> l.id);
    PERFORM set_config('baylight.v2_sync', '', true);
END
$$;
