-- name: stored
-- Uplinks that are stored already. :observed_at and :deduplication_ids have the same order; :first_at and :last_at bound
-- observed_at.
SELECT u.observed_at, u.deduplication_id
FROM uplinks AS u
INNER JOIN unnest(:observed_at::timestamptz[], :deduplication_ids::uuid[]) AS n (observed_at, deduplication_id)
    ON u.observed_at = n.observed_at AND u.deduplication_id = n.deduplication_id
WHERE u.observed_at BETWEEN :first_at AND :last_at;

-- name: copies
-- Frames that came through another network server before, by their place in the arrays (all in the same order).
-- :apart is how far the clocks of two servers may differ. :observed_after is only a lower bound: with an upper bound or
-- EXISTS, the planner would read days of uplinks instead of the device's index.
SELECT n.place
FROM unnest(
    :dev_euis::text[], :f_cnts::bigint[], :f_ports::smallint[], :datas::bytea[], :network_servers::text[],
    :times::timestamptz[]
) WITH ORDINALITY AS n (dev_eui, f_cnt, f_port, data, network_server, at, place)
CROSS JOIN LATERAL (
    SELECT FROM uplinks AS u
    WHERE u.dev_eui = n.dev_eui AND u.received_at >= n.at - :apart::interval AND u.observed_at >= :observed_after
        AND u.network_server <> n.network_server AND u.f_cnt = n.f_cnt AND u.f_port IS NOT DISTINCT FROM n.f_port
        AND u.data = n.data
        AND least(u.network_at, u.received_at) BETWEEN n.at - :apart::interval AND n.at + :apart::interval
    LIMIT 1
) AS u;
