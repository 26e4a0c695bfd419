-- name: list
-- By start: one ($1), or a page of at most $7 after the key ($5, $6): of space $2, in status $3, that end after $4.
-- Two branches, so that each has its index whatever the plan knows of the parameters.
WITH chosen AS (
    SELECT * FROM reservations WHERE id = $1
    UNION ALL
    SELECT * FROM (
        SELECT r.* FROM reservations AS r
        WHERE $1::uuid IS NULL
            AND ($2::text IS NULL OR r.space_id = (SELECT s.id FROM spaces AS s WHERE s.code = $2 AND s.deleted_at IS NULL))
            AND ($3::text IS NULL OR r.status = $3)
            AND ($4::timestamptz IS NULL OR r.end_time > $4)
            AND (r.start_time, r.id) > (coalesce($5::timestamptz, '-infinity'), coalesce($6::uuid, '00000000-0000-0000-0000-000000000000'))
        ORDER BY r.start_time, r.id
        LIMIT $7
    ) AS page
)

SELECT
    r.id, r.space_id, s.code AS space, r.start_time AS start_at, r.end_time AS end_at, r.status, r.user_email,
    r.user_phone, r.metadata, r.request_id, r.created_by, r.created_at
FROM chosen AS r INNER JOIN spaces AS s ON s.id = r.space_id
ORDER BY r.start_time, r.id;

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
-- Live ones that have ended, the oldest first, and the display that each will change.
SELECT r.id, r.space_id, s.display_device_id
FROM reservations AS r INNER JOIN spaces AS s ON s.id = r.space_id
WHERE r.status = 'active' AND r.end_time <= $1 ORDER BY r.end_time, r.id LIMIT $2;
