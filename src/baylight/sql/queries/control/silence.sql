-- name: newest
-- Since when there are enabled devices (null: there are none), and the arrival of the newest uplinks, at most :limit.
-- Reads the end of the primary key of each partition.
SELECT
    (
        SELECT min(d.created_at) FROM (
            SELECT min(created_at) AS created_at FROM sensor_devices WHERE enabled
            UNION ALL
            SELECT min(created_at) FROM display_devices WHERE enabled
        ) AS d
    ) AS devices_since,
    ARRAY(SELECT u.received_at FROM uplinks AS u ORDER BY u.observed_at DESC LIMIT :limit) AS received_at;
