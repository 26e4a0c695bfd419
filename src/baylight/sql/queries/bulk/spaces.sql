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

-- name: doubtful
-- Return at most 20 new spaces whose code a spreadsheet may have made of another one: a date, a number in powers of ten,
-- or a number that lost its zeros.
SELECT n.line AS row, n.code AS cell,
       CASE
           WHEN s.code IS NOT NULL THEN format('is new beside %s: a spreadsheet removes zeros before a number', s.code)
           WHEN n.code ~ 'E[+]' THEN 'is a number in powers of ten: a spreadsheet shows long numbers so'
           ELSE 'is a date: a spreadsheet makes dates of codes such as 1-01'
       END AS reason
FROM bulk_rows AS n
LEFT JOIN spaces AS s
    ON s.deleted_at IS NULL AND n.code ~ '^[0-9]+$' AND s.code ~ '^0+[0-9]+$' AND ltrim(s.code, '0') = n.code
WHERE n.action = 'add' AND (
    s.code IS NOT NULL
    OR n.code ~ '^[0-9]([.,][0-9]+)?E[+][0-9]+$'
    OR n.code ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'
    OR n.code ~ '^[0-9]{1,2}[./][0-9]{1,2}[./]([0-9]{2}|[0-9]{4})$'
    OR n.code ~* concat(
        '^([0-9]{1,2}([.] ?|[ /-]))?',
        '(jan|feb|mar|apr|may|jun|jul|aug|sep|sept|oct|nov|dec',
        '|mär|mrz|mai|okt|dez|janv|févr|mars|avr|juin|juil|août|déc|ene|abr|ago|dic|gen|mag|giu|lug|set|ott|mrt|mei)',
        '[.]?([ /-]([0-9]{2}|[0-9]{4}))?$'
    ) AND n.code ~ '[0-9]'
)
ORDER BY n.line
LIMIT 20;
