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

-- Baylight's spaces with V2's words for their place and state. V2's UNIQUE constraint makes some deleted ones have another code.
CREATE OR REPLACE VIEW v2_migration.worded_spaces AS
SELECT s.id, s.name, coalesce(a.code, s.code) AS code, p.building, p.floor, p.zone, s.gps_latitude, s.gps_longitude,
       s.sensor_deveui, s.display_deveui, v2_migration.v2_state(s.current_state)::varchar(20) AS state, s.metadata,
       s.created_at, s.updated_at, s.deleted_at
FROM baylight_next.spaces AS s
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id;

-- Those of which V2 spells a value otherwise, with V2's spelling where it still holds. `former_eui` is V2's spelling of the
-- sensor `former_deveui`, which may serve another space by now. The joins begin with the spelling: PostgreSQL keeps the order
-- of so many joins.
CREATE OR REPLACE VIEW v2_migration.spelled_spaces AS
SELECT s.id, s.name, coalesce(a.code, s.code) AS code,
       coalesce(p.building, CASE WHEN x.building = '' THEN x.building END) AS building,
       coalesce(p.floor, CASE WHEN x.floor = '' THEN x.floor END) AS floor,
       coalesce(p.zone, CASE WHEN x.zone = '' THEN x.zone END) AS zone,
       coalesce(s.gps_latitude, x.gps_latitude) AS gps_latitude,
       coalesce(s.gps_longitude, x.gps_longitude) AS gps_longitude,
       s.sensor_deveui, x.sensor_eui AS former_eui, x.sensor_deveui AS former_deveui,
       CASE WHEN x.display_deveui IS NOT DISTINCT FROM s.display_deveui THEN x.display_eui ELSE s.display_deveui END
           AS display_eui,
       v2_migration.v2_state(s.current_state)::varchar(20) AS state, s.metadata, s.created_at, s.updated_at, s.deleted_at
FROM v2_migration.residue AS x
INNER JOIN baylight_next.spaces AS s ON s.id = x.space_id
LEFT JOIN v2_migration.places AS p ON p.location_id = s.location_id
LEFT JOIN v2_migration.aside AS a ON a.space_id = s.id;

-- Rows of V2 made from Baylight's spaces. Each part gives the sensor in a way that an index can be used for: a look-up by the
-- sensor must not read all spaces. Deleted spaces have no devices.
CREATE OR REPLACE VIEW v2_migration.old_spaces AS
SELECT id, name, code, building, floor, zone, gps_latitude, gps_longitude, sensor_deveui AS sensor_eui,
       display_deveui AS display_eui, state, metadata, created_at, updated_at, deleted_at
FROM v2_migration.worded_spaces AS w
WHERE deleted_at IS NULL AND NOT EXISTS (SELECT FROM v2_migration.residue AS x WHERE x.space_id = w.id)
UNION ALL
SELECT id, name, code, building, floor, zone, gps_latitude, gps_longitude, NULL::varchar(16), NULL::varchar(16), state,
       metadata, created_at, updated_at, deleted_at
FROM v2_migration.worded_spaces AS w
WHERE deleted_at IS NOT NULL AND NOT EXISTS (SELECT FROM v2_migration.residue AS x WHERE x.space_id = w.id)
UNION ALL
SELECT id, name, code, building, floor, zone, gps_latitude, gps_longitude, former_eui, display_eui, state, metadata,
       created_at, updated_at, deleted_at
FROM v2_migration.spelled_spaces WHERE former_deveui IS NOT DISTINCT FROM sensor_deveui
UNION ALL
SELECT id, name, code, building, floor, zone, gps_latitude, gps_longitude, sensor_deveui, display_eui, state, metadata,
       created_at, updated_at, deleted_at
FROM v2_migration.spelled_spaces WHERE former_deveui IS DISTINCT FROM sensor_deveui AND deleted_at IS NULL
UNION ALL
SELECT id, name, code, building, floor, zone, gps_latitude, gps_longitude, NULL::varchar(16), display_eui, state, metadata,
       created_at, updated_at, deleted_at
FROM v2_migration.spelled_spaces WHERE former_deveui IS DISTINCT FROM sensor_deveui AND deleted_at IS NOT NULL;

-- Spaces in which an observing Baylight decides otherwise than V2. `by_hand`: people closed or reserved the space in V2.
CREATE OR REPLACE VIEW v2_migration.disagreements AS
SELECT l.id, l.code, l.state AS v2_state, s.current_state_at AS v2_since, d.state, d.reason, d.decided_at,
       CASE WHEN l.state = 'MAINTENANCE' THEN 'closed'
            WHEN l.state = 'RESERVED' AND NOT EXISTS (
                SELECT FROM baylight_next.reservations AS r
                WHERE r.space_id = l.id AND r.status = 'active'
                  AND r.during && tstzrange(least(s.current_state_at, clock_timestamp()), clock_timestamp(), '[]')
            ) THEN 'reserved' END AS by_hand
FROM v2_migration.observed_decisions AS d
INNER JOIN baylight_next.spaces AS s ON s.id = d.space_id
INNER JOIN public.spaces AS l ON l.id = d.space_id
WHERE d.state = 'UNKNOWN' OR v2_migration.v2_state(d.state) <> l.state;
