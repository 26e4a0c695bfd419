-- name: list
-- By start: one ($1), or a page of those of a space ($2), of a status ($3), that end after $4, after the key ($5, $6).
SELECT
    r.id, r.space_id, s.code AS space, r.start_time AS start_at, r.end_time AS end_at, r.status, r.user_email,
    r.user_phone, r.metadata, r.request_id, r.created_by, r.created_at
FROM reservations AS r INNER JOIN spaces AS s ON s.id = r.space_id
WHERE ($1::uuid IS NULL OR r.id = $1)
    AND ($2::text IS NULL OR (s.code = $2 AND s.deleted_at IS NULL))
    AND ($3::text IS NULL OR r.status = $3)
    AND ($4::timestamptz IS NULL OR r.end_time > $4)
    AND ($5::timestamptz IS NULL OR (r.start_time, r.id) > ($5, $6::uuid))
ORDER BY r.start_time, r.id
LIMIT $7;

-- name: by_request
-- The reservation that a request made before.
SELECT id FROM reservations WHERE request_id = $1;

-- name: insert
-- A live reservation; reservations_no_overlap speaks if the space is taken.
INSERT INTO reservations (
    space_id, start_time, end_time, user_email, user_phone, metadata, request_id, created_by, created_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id;

-- name: space_of
-- The space of a reservation.
SELECT s.id, r.status FROM reservations AS r INNER JOIN spaces AS s ON s.id = r.space_id WHERE r.id = $1;

-- name: lock_spaces
-- In the order in which everybody locks them.
SELECT id FROM spaces WHERE id = ANY($1::uuid []) ORDER BY id FOR NO KEY UPDATE;

-- name: close
-- A live one gets its last status; null if another was quicker.
UPDATE reservations SET status = $2 WHERE id = $1 AND status = 'active' RETURNING space_id;

-- name: due
-- Live ones that have ended, the oldest first.
SELECT id, space_id FROM reservations WHERE status = 'active' AND end_time <= $1 ORDER BY end_time, id LIMIT $2;
