-- name: list
-- Every location ($1 null), or the one whose names from the root are $1.
SELECT
    l.id, l.parent_id, l.kind, l.name, array_to_string(named.names, '/') AS path, l.timezone, l.maintenance,
    (
        SELECT count(*) FROM locations AS below INNER JOIN spaces AS s ON s.location_id = below.id
        WHERE below.path @> ARRAY[l.id] AND s.deleted_at IS NULL
    ) AS spaces
FROM locations AS l
CROSS JOIN LATERAL (
    SELECT array_agg(a.name ORDER BY part.depth) AS names
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named
WHERE $1::text [] IS NULL OR (cardinality(l.path) = cardinality($1) AND l.name = $1[cardinality($1)] AND named.names = $1)
ORDER BY named.names;

-- name: child
-- The location of a name right below another (null: a root).
SELECT id, kind, timezone FROM locations WHERE parent_id IS NOT DISTINCT FROM $1::uuid AND name = $2 ORDER BY created_at LIMIT 1;

-- name: insert
-- A new location; two at once make one.
INSERT INTO locations (parent_id, kind, name, timezone) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: rename
-- Null if it is called so already.
UPDATE locations SET name = $2 WHERE id = $1 AND name <> $2 RETURNING id;

-- name: lock
-- Until the end of the transaction nothing comes to lie in it; and what lies right below.
SELECT l.id, (SELECT min(b.name) FROM locations AS b WHERE b.parent_id = l.id) AS below
FROM locations AS l WHERE l.id = $1 FOR UPDATE;

-- name: hold
-- It and what is above it: nobody changes them until the transaction ends.
SELECT a.id FROM locations AS l INNER JOIN locations AS a ON a.id = ANY (l.path)
WHERE l.id = $1 ORDER BY a.id FOR SHARE OF a;

-- name: leave
-- Deleted spaces lie nowhere then.
UPDATE spaces SET location_id = NULL WHERE location_id = $1 AND deleted_at IS NOT NULL;

-- name: delete
-- One that holds nothing.
DELETE FROM locations WHERE id = $1;

-- name: set_maintenance
-- Null if it was so already.
UPDATE locations SET maintenance = $2 WHERE id = $1 AND maintenance <> $2 RETURNING id;

-- name: space_ids
-- Live spaces of a subtree.
SELECT s.id FROM locations AS l INNER JOIN spaces AS s ON s.location_id = l.id
WHERE l.path @> ARRAY[$1::uuid] AND s.deleted_at IS NULL ORDER BY s.id;
