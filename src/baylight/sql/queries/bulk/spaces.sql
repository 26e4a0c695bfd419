-- name: stage
-- Make the table for the rows of a file. `ref`: the location's id.
CREATE TEMP TABLE bulk_rows (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    code text, name text, location text, latitude numeric, longitude numeric, default_state text,
    maintenance boolean, metadata jsonb
) ON COMMIT DROP;

-- name: stored
-- Return live spaces in the form of a file. `locations`: all locations with their paths.
SELECT s.id, s.code::text, s.name::text, l.path AS location, s.gps_latitude AS latitude, s.gps_longitude AS longitude,
       s.default_state::text, s.maintenance, s.metadata
FROM spaces AS s LEFT JOIN ({locations}) AS l ON l.id = s.location_id
WHERE s.deleted_at IS NULL;

-- name: set_defaults
-- Fill the empty cells of new spaces, and find the id of each location. `locations`: as in `stored`.
UPDATE bulk_rows
SET name = coalesce(name, code), default_state = coalesce(default_state, 'UNKNOWN'),
    maintenance = coalesce(maintenance, false)
WHERE before IS NULL;
UPDATE bulk_rows AS n SET ref = l.id FROM ({locations}) AS l WHERE l.path = n.location;

-- name: check
-- Find what is wrong beyond a single cell.
INSERT INTO bulk_errors
SELECT line, 'location', 'unknown_location', format('there is no location %L: import locations first', location)
FROM bulk_rows WHERE location IS NOT NULL AND ref IS NULL
UNION ALL
SELECT line, 'latitude', 'bad_position', 'give both latitude and longitude, or neither'
FROM bulk_rows WHERE (latitude IS NULL) <> (longitude IS NULL);

-- name: touch
-- Note the new and the changed spaces.
INSERT INTO bulk_touched SELECT id FROM bulk_rows WHERE action IS NOT NULL;

-- name: apply
-- Write the new and the changed spaces.
INSERT INTO spaces (id, code, name, location_id, gps_latitude, gps_longitude, default_state, maintenance, metadata)
SELECT id, code, name, ref, latitude, longitude, default_state, maintenance, metadata
FROM bulk_rows WHERE action = 'add';
UPDATE spaces AS s
SET name = n.name, location_id = n.ref, gps_latitude = n.latitude, gps_longitude = n.longitude,
    default_state = n.default_state, maintenance = n.maintenance, metadata = n.metadata
FROM bulk_rows AS n WHERE n.action = 'change' AND n.id = s.id;

-- name: analyze
-- Renew statistics after many rows, so that the planner does not use old ones.
ANALYZE bulk_touched, spaces;
