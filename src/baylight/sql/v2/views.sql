-- What V2's rows would be if they were made from Baylight's. Views find their tables wherever these lie, and V2 reads them
-- after the contract stage: so they are made once, and never again in a transaction that lasts.

CREATE OR REPLACE VIEW v2_migration.places AS
SELECT l.id AS location_id,
       (CASE 'building' WHEN a.kind THEN a.name WHEN b.kind THEN b.name WHEN c.kind THEN c.name
                        WHEN d.kind THEN d.name WHEN e.kind THEN e.name END) AS building,
       (CASE 'floor' WHEN a.kind THEN a.name WHEN b.kind THEN b.name WHEN c.kind THEN c.name
                     WHEN d.kind THEN d.name WHEN e.kind THEN e.name END) AS floor,
       (CASE 'zone' WHEN a.kind THEN a.name WHEN b.kind THEN b.name WHEN c.kind THEN c.name
                    WHEN d.kind THEN d.name WHEN e.kind THEN e.name END) AS zone
FROM baylight_next.locations AS l
LEFT JOIN baylight_next.locations AS a ON a.id = l.path[1]
LEFT JOIN baylight_next.locations AS b ON b.id = l.path[2]
LEFT JOIN baylight_next.locations AS c ON c.id = l.path[3]
LEFT JOIN baylight_next.locations AS d ON d.id = l.path[4]
LEFT JOIN baylight_next.locations AS e ON e.id = l.path[5];

-- Rows of V2 made from Baylight's spaces, in V2's own spelling where that still holds.
CREATE OR REPLACE VIEW v2_migration.old_spaces AS
SELECT s.id, s.name, s.code, p.building, p.floor, p.zone, s.gps_latitude, s.gps_longitude,
       s.sensor_deveui AS sensor_eui, s.display_deveui AS display_eui,
       v2_migration.v2_state(s.current_state)::varchar(20) AS state,
       s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM baylight_next.spaces AS s
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
WHERE s.deleted_at IS NULL AND NOT EXISTS (SELECT FROM v2_migration.residue AS x WHERE x.space_id = s.id)
UNION ALL
-- A deleted space has no devices. These NULLs spare a search for a sensor the deleted spaces.
SELECT s.id, s.name, coalesce(a.code, s.code), p.building, p.floor, p.zone, s.gps_latitude, s.gps_longitude, NULL::varchar(16),
       NULL::varchar(16), v2_migration.v2_state(s.current_state)::varchar(20),
       s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM baylight_next.spaces AS s
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id
WHERE s.deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM v2_migration.residue AS x WHERE x.space_id = s.id)
UNION ALL
SELECT s.id, s.name, coalesce(a.code, s.code), coalesce(p.building, CASE WHEN x.building = '' THEN x.building END),
       coalesce(p.floor, CASE WHEN x.floor = '' THEN x.floor END),
       coalesce(p.zone, CASE WHEN x.zone = '' THEN x.zone END),
       coalesce(s.gps_latitude, x.gps_latitude), coalesce(s.gps_longitude, x.gps_longitude),
       x.sensor_eui,
       CASE WHEN x.display_deveui IS NOT DISTINCT FROM s.display_deveui THEN x.display_eui ELSE s.display_deveui END,
       v2_migration.v2_state(s.current_state)::varchar(20),
       s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM v2_migration.residue AS x
INNER JOIN baylight_next.spaces AS s
    ON s.id = x.space_id AND x.sensor_deveui IS NOT DISTINCT FROM s.sensor_deveui
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id
-- Another sensor serves the space now, so that V2's spelling of the former one does not hold any more.
UNION ALL
SELECT s.id, s.name, coalesce(a.code, s.code), coalesce(p.building, CASE WHEN x.building = '' THEN x.building END),
       coalesce(p.floor, CASE WHEN x.floor = '' THEN x.floor END),
       coalesce(p.zone, CASE WHEN x.zone = '' THEN x.zone END),
       coalesce(s.gps_latitude, x.gps_latitude), coalesce(s.gps_longitude, x.gps_longitude),
       s.sensor_deveui,
       CASE WHEN x.display_deveui IS NOT DISTINCT FROM s.display_deveui THEN x.display_eui ELSE s.display_deveui END,
       v2_migration.v2_state(s.current_state)::varchar(20),
       s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM v2_migration.residue AS x
INNER JOIN baylight_next.spaces AS s
    ON s.id = x.space_id AND x.sensor_deveui IS DISTINCT FROM s.sensor_deveui
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id
WHERE s.deleted_at IS NULL
UNION ALL
SELECT s.id, s.name, coalesce(a.code, s.code), coalesce(p.building, CASE WHEN x.building = '' THEN x.building END),
       coalesce(p.floor, CASE WHEN x.floor = '' THEN x.floor END),
       coalesce(p.zone, CASE WHEN x.zone = '' THEN x.zone END),
       coalesce(s.gps_latitude, x.gps_latitude), coalesce(s.gps_longitude, x.gps_longitude),
       NULL::varchar(16),
       CASE WHEN x.display_deveui IS NOT DISTINCT FROM s.display_deveui THEN x.display_eui ELSE s.display_deveui END,
       v2_migration.v2_state(s.current_state)::varchar(20),
       s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM v2_migration.residue AS x
INNER JOIN baylight_next.spaces AS s
    ON s.id = x.space_id AND x.sensor_deveui IS DISTINCT FROM s.sensor_deveui
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id
WHERE s.deleted_at IS NOT NULL;
