-- name: list
-- Overrides that have not ended at :now (NULL: all), the oldest first. Filters: one (:id), of a space, of a location.
SELECT
    o.id, o.space_id, s.code AS space, o.location_id, named.path AS location, o.state,
    lower(o.valid) AS from_at, upper(o.valid) AS until_at, o.reason, o.actor, o.ended_by
FROM overrides AS o
LEFT JOIN spaces AS s ON s.id = o.space_id
LEFT JOIN locations AS l ON l.id = o.location_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
WHERE (:now::timestamptz IS NULL OR upper_inf(o.valid) OR upper(o.valid) > :now)
    AND (:id::uuid IS NULL OR o.id = :id)
    AND (:space_id::uuid IS NULL OR o.space_id = :space_id)
    AND (:location_id::uuid IS NULL OR o.location_id = :location_id)
ORDER BY lower(o.valid), o.id;

-- name: end
-- Ends an override that is in force, but not before it began. Returns the time of its end; no row if it had ended.
UPDATE overrides
SET valid = tstzrange(lower(valid), greatest(:now, lower(valid) + interval '1 microsecond')), ended_by = :actor
WHERE id = :id AND (upper_inf(valid) OR upper(valid) > :now)
RETURNING upper(valid);

-- name: insert
-- An override from :from_at on, until :until_at (NULL: until a person ends it). Returns its id.
INSERT INTO overrides (space_id, location_id, state, valid, reason, actor)
VALUES (:space_id, :location_id, :state, tstzrange(:from_at, :until_at), :reason, :actor)
RETURNING id;

-- name: lock_location
-- Locks a location until the transaction ends, so that its overrides are set one after the other.
SELECT id FROM locations WHERE id = :id FOR NO KEY UPDATE;
