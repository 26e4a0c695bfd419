-- name: list
-- Reservations by start: one (:id), or a page of at most :limit after the key (:after_start_at, :after_id). Filters: of a
-- space (code), in a status, that end after a time, that
-- start in [:from_at, :until_at). The two branches give each case its own index in a generic plan.
WITH chosen AS (
    SELECT * FROM reservations WHERE id = :id
    UNION ALL
    SELECT * FROM (
        SELECT r.* FROM reservations AS r
        WHERE :id::uuid IS NULL
            AND (
                :space::text IS NULL
                OR r.space_id = (SELECT s.id FROM spaces AS s WHERE s.code = :space AND s.deleted_at IS NULL)
            )
            AND (:status::text IS NULL OR r.status = :status)
            AND (:ending_after::timestamptz IS NULL OR r.end_time > :ending_after)
            AND (:from_at::timestamptz IS NULL OR r.start_time >= :from_at)
            AND (:until_at::timestamptz IS NULL OR r.start_time < :until_at)
            AND (r.start_time, r.id) > (
                coalesce(:after_start_at::timestamptz, '-infinity'),
                coalesce(:after_id::uuid, '00000000-0000-0000-0000-000000000000')
            )
        ORDER BY r.start_time, r.id
        LIMIT :limit
    ) AS page
)

SELECT
    r.id, r.space_id, s.code AS space, r.start_time AS start_at, r.end_time AS end_at, r.status, r.user_email,
    r.user_phone, r.metadata, r.request_id, r.created_by, r.created_at
FROM chosen AS r INNER JOIN spaces AS s ON s.id = r.space_id
ORDER BY r.start_time, r.id;

-- name: find_by_request
-- The id of the reservation that was created with a request id.
SELECT id FROM reservations WHERE request_id = :request_id;

-- name: insert
-- An active reservation. The constraint reservations_no_overlap refuses it if the space is taken. Returns its id.
INSERT INTO reservations (
    space_id, start_time, end_time, user_email, user_phone, metadata, request_id, created_by, created_at
)
VALUES (
    :space_id, :start_at, :end_at, :user_email, :user_phone, :metadata, :request_id, :created_by, :created_at
)
RETURNING id;

-- name: find_time_zone
-- The time zone of the site of a space. No row if it has none.
SELECT site.timezone
FROM spaces AS s
INNER JOIN locations AS l ON l.id = s.location_id
INNER JOIN locations AS site ON site.id = ANY (l.path)
WHERE s.id = :space_id AND site.timezone IS NOT NULL
ORDER BY cardinality(site.path) DESC LIMIT 1;

-- name: find_space_id
-- The id of the space of a reservation.
SELECT space_id FROM reservations WHERE id = :id;

-- name: lock_spaces
-- Locks spaces in the order of their ids, as all transactions do, so that none waits for another in a circle.
SELECT id FROM spaces WHERE id = ANY(:ids::uuid []) ORDER BY id FOR NO KEY UPDATE;

-- name: close
-- Gives an active reservation its last status. Changes no row if another transaction has closed it.
UPDATE reservations SET status = :status WHERE id = :id AND status = 'active';

-- name: change_end
-- Gives an active reservation another end. The constraint reservations_no_overlap refuses it if the space is taken then.
UPDATE reservations SET end_time = :end_at WHERE id = :id AND status = 'active';

-- name: list_due
-- Active reservations whose time has ended, the oldest first, at most :limit, with the display that each changes.
SELECT r.id, r.space_id, s.display_device_id
FROM reservations AS r INNER JOIN spaces AS s ON s.id = r.space_id
WHERE r.status = 'active' AND r.end_time <= :now ORDER BY r.end_time, r.id LIMIT :limit;
