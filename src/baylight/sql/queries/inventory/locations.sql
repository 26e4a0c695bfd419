-- name: list
-- All locations (:names NULL), or the one whose names from the root are :names.
SELECT
    l.id, l.parent_id, l.kind, l.name, array_to_string(named.names, '/') AS path, l.timezone, l.maintenance,
    l.change_hold_s, (
        SELECT count(*) FROM locations AS below INNER JOIN spaces AS s ON s.location_id = below.id
        WHERE below.path @> ARRAY[l.id] AND s.deleted_at IS NULL
    ) AS spaces
FROM locations AS l
CROSS JOIN LATERAL (
    SELECT array_agg(a.name ORDER BY part.depth) AS names
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named
WHERE :names::text [] IS NULL
    OR (cardinality(l.path) = cardinality(:names) AND l.name = (:names::text [])[cardinality(:names)] AND named.names = :names)
ORDER BY named.names;

-- name: list_time_zones
-- Sites with their time zones.
SELECT name AS site, timezone FROM locations WHERE kind = 'site' ORDER BY name;

-- name: find_child
-- The location with a name right below another one (NULL: below the root).
SELECT id, kind, timezone FROM locations
WHERE parent_id IS NOT DISTINCT FROM :parent_id::uuid AND name = :name ORDER BY created_at LIMIT 1;

-- name: insert
-- A new location. Two transactions that insert the same one at the same time create one row.
INSERT INTO locations (parent_id, kind, name, timezone) VALUES (:parent_id, :kind, :name, :timezone) ON CONFLICT DO NOTHING;

-- name: rename
-- Changes no row if the location already has the name.
UPDATE locations SET name = :name WHERE id = :id AND name <> :name;

-- name: lock
-- A location and the name of one right below it. Locks the row, so that nothing is put there until the transaction ends.
SELECT l.id, (SELECT min(b.name) FROM locations AS b WHERE b.parent_id = l.id) AS below
FROM locations AS l WHERE l.id = :id FOR UPDATE;

-- name: lock_settings
-- Locks a location until the transaction ends, so that its settings change one after the other.
SELECT id FROM locations WHERE id = :id FOR NO KEY UPDATE;

-- name: lock_path
-- The ids of a location and of all above it. Locks these rows against changes until the transaction ends.
SELECT a.id FROM locations AS l INNER JOIN locations AS a ON a.id = ANY (l.path)
WHERE l.id = :id ORDER BY a.id FOR SHARE OF a;

-- name: release_deleted_spaces
-- Moves deleted spaces out of a location, so that it can be deleted.
UPDATE spaces SET location_id = NULL WHERE location_id = :id AND deleted_at IS NOT NULL;

-- name: delete
-- Deletes a location that contains nothing.
DELETE FROM locations WHERE id = :id;

-- name: set_maintenance
-- Changes no row if the location already is as wanted.
UPDATE locations SET maintenance = :on WHERE id = :id AND maintenance <> :on;

-- name: set_change_hold
-- Changes no row if the location already is as wanted.
UPDATE locations SET change_hold_s = :seconds WHERE id = :id AND change_hold_s IS DISTINCT FROM :seconds;

-- name: list_space_ids
-- The ids of the live spaces of a subtree.
SELECT s.id FROM locations AS l INNER JOIN spaces AS s ON s.location_id = l.id
WHERE l.path @> ARRAY[:id::uuid] AND s.deleted_at IS NULL ORDER BY s.id;
