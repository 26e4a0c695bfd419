-- name: stored
-- Uplinks that are stored already. :observed_at and :deduplication_ids have the same order; :first_at and :last_at bound
-- observed_at.
SELECT u.observed_at, u.deduplication_id
FROM uplinks AS u
INNER JOIN unnest(:observed_at::timestamptz[], :deduplication_ids::uuid[]) AS n (observed_at, deduplication_id)
    ON u.observed_at = n.observed_at AND u.deduplication_id = n.deduplication_id
WHERE u.observed_at BETWEEN :first_at AND :last_at;

-- name: stored_by_id
-- Uplinks of devices that are stored already, by their ids alone. The arrays have the same order.
SELECT n.place
FROM unnest(:dev_euis::text[], :deduplication_ids::uuid[]) WITH ORDINALITY AS n (dev_eui, deduplication_id, place)
CROSS JOIN LATERAL (
    SELECT FROM uplinks AS u
    WHERE u.dev_eui = n.dev_eui AND u.received_at >= :since AND u.deduplication_id = n.deduplication_id
    LIMIT 1
) AS u;

-- name: known
-- Frames with a counter that a stored frame of a session has, by their place in the arrays (all in the same order):
-- with the same data or not. There are few: the scan of a device's index from :since on costs no more than its uplinks
-- of these days.
SELECT n.place, u.same
FROM unnest(
    :dev_euis::text[], :sessions::integer[], :f_cnts::bigint[], :f_ports::smallint[], :datas::bytea[]
) WITH ORDINALITY AS n (dev_eui, session, f_cnt, f_port, data, place)
CROSS JOIN LATERAL (
    SELECT u.f_port IS NOT DISTINCT FROM n.f_port AND u.data = n.data AS same FROM uplinks AS u
    WHERE u.dev_eui = n.dev_eui AND u.received_at >= :since AND coalesce(u.session, 0) = n.session AND u.f_cnt = n.f_cnt
    ORDER BY same DESC
    LIMIT 1
) AS u;
