-- name: ensure_partitions
-- This month's partitions and those of the next two.
SELECT count(*) FILTER (WHERE ensure_partition(parent, $1::timestamptz + make_interval(months => ahead)))
FROM unnest(ARRAY['uplinks', 'actuations']) AS parent CROSS JOIN generate_series(0, 2) AS ahead;

-- name: drop_partitions
-- Partitions of $1 that ended more than $3 months before $2; their names.
SELECT name FROM drop_partitions($1, $2::timestamptz - make_interval(months => $3)) AS name;

-- name: prune_events
-- At most $3 steps of actuations that are older than $2 months at $1.
DELETE FROM actuation_events WHERE id IN (
    SELECT id FROM actuation_events
    WHERE received_at < $1::timestamptz - make_interval(months => $2) ORDER BY id LIMIT $3
);

-- name: prune_rejected
-- At most $2 rejected messages that last came before $1.
DELETE FROM rejected_messages WHERE digest IN (
    SELECT digest FROM rejected_messages WHERE last_at < $1 ORDER BY last_at LIMIT $2
);

-- name: prune_orphans
-- At most $2 unknown devices that were last heard before $1, or are registered by now. `expired`: the former.
DELETE FROM orphans WHERE dev_eui IN (
    SELECT o.dev_eui FROM orphans AS o
    WHERE o.last_at < $1 OR EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = o.dev_eui)
        OR EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = o.dev_eui)
    LIMIT $2
)
RETURNING dev_eui, last_at < $1 AS expired;

-- name: forget_strangers
-- What unknown devices sent. $1 dev_euis.
DELETE FROM uplinks WHERE dev_eui = ANY($1::text[]) AND outcome = 'unknown_device';
