-- name: stage
-- Make the table for the rows of a file. `ref`: the location above.
CREATE TEMP TABLE bulk_rows (
    line integer, kept text [], id uuid, ref uuid, before jsonb, action text,
    path text, kind text, timezone text, maintenance boolean, change_hold_s smallint, metadata jsonb
) ON COMMIT DROP;

-- name: stored
-- Return all locations in the form of a file.
SELECT l.id, named.path, l.kind, l.timezone, l.maintenance, l.change_hold_s, l.metadata
FROM locations AS l
CROSS JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named;

-- name: set_defaults
-- Fill the empty cells of new locations.
UPDATE bulk_rows SET maintenance = coalesce(maintenance, false), metadata = coalesce(metadata, '{}')
WHERE before IS NULL;

-- name: check
-- Find what is wrong beyond a single cell.
UPDATE bulk_rows AS n SET ref = above.id
FROM (
    SELECT path, id FROM bulk_rows WHERE action = 'add'
    UNION ALL
    SELECT path, id FROM ({stored}) AS stored
) AS above
WHERE n.action = 'add' AND above.path = regexp_replace(n.path, '/[^/]*$', '') AND n.path LIKE '%/%';
INSERT INTO bulk_errors
SELECT line, 'path', 'unknown_location', format('there is no location above %L: add a row for it', path)
FROM bulk_rows WHERE action = 'add' AND ref IS NULL AND path LIKE '%/%'
UNION ALL
SELECT line, 'kind', 'missing', 'a new location needs a kind' FROM bulk_rows WHERE kind IS NULL
UNION ALL
SELECT line, 'kind', 'kind_differs', format('it is a %s: the kind cannot change', before ->> 'kind')
FROM bulk_rows WHERE kind <> before ->> 'kind'
UNION ALL
SELECT line, 'timezone', 'timezone_of_site', 'only a site has a time zone'
FROM bulk_rows WHERE timezone IS NOT NULL AND kind <> 'site';

-- name: lock
-- Lock the locations that change, by id, so that only this import writes them.
SELECT count(*) FROM (
    SELECT FROM locations WHERE id IN (SELECT id FROM bulk_rows WHERE action = 'change')
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: touch
-- Note the spaces that a change of maintenance affects.
INSERT INTO bulk_touched
SELECT DISTINCT s.id FROM bulk_rows AS n
INNER JOIN locations AS l ON l.path @> ARRAY[n.id]
INNER JOIN spaces AS s ON s.location_id = l.id AND s.deleted_at IS NULL
WHERE n.action = 'change' AND n.maintenance <> (n.before ->> 'maintenance')::boolean;

-- name: apply
-- Write parents before children: a trigger makes the path of a location from the path of its parent.
INSERT INTO locations (id, parent_id, kind, name, timezone, maintenance, change_hold_s, metadata)
SELECT id, ref, kind, regexp_replace(path, '^.*/', ''), timezone, maintenance, change_hold_s, metadata
FROM bulk_rows WHERE action = 'add' ORDER BY cardinality(string_to_array(path, '/')), line;
UPDATE locations AS l SET timezone = n.timezone, maintenance = n.maintenance,
    change_hold_s = n.change_hold_s, metadata = n.metadata
FROM bulk_rows AS n WHERE n.action = 'change' AND n.id = l.id;

-- name: analyze
-- Renew statistics after many rows, so that the planner does not use old ones.
ANALYZE bulk_touched, locations;
