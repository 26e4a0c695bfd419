-- name: list
-- Those in force or to come at $1: one ($2), or all, or of a space ($3) or a location ($4).
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
WHERE ($1::timestamptz IS NULL OR upper_inf(o.valid) OR upper(o.valid) > $1)
    AND ($2::uuid IS NULL OR o.id = $2)
    AND ($3::uuid IS NULL OR o.space_id = $3)
    AND ($4::uuid IS NULL OR o.location_id = $4)
ORDER BY lower(o.valid), o.id;

-- name: end
-- Ends one that is still in force, not before it began; gives the instant from which it is no more.
UPDATE overrides
SET valid = tstzrange(lower(valid), greatest($2, lower(valid) + interval '1 microsecond')), ended_by = $3
WHERE id = $1 AND (upper_inf(valid) OR upper(valid) > $2)
RETURNING upper(valid);

-- name: insert
-- From $4 on, to $5 or open.
INSERT INTO overrides (space_id, location_id, state, valid, reason, actor)
VALUES ($1, $2, $3, tstzrange($4, $5), $6, $7)
RETURNING id;

-- name: lock_location
-- Two overrides of a location are set one after the other.
SELECT id FROM locations WHERE id = $1 FOR NO KEY UPDATE;
