-- name: horizon
-- Transactions older than this are seen by every later read; and the newest change of state.
SELECT
    pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
    (SELECT coalesce(max(id), 0) FROM state_changes) AS last_change_id;

-- name: spaces
-- What the live page shows of each space; all, or (with $1, an earlier horizon) those touched since, and the deleted.
SELECT
    s.id, s.code, s.name, named.path AS location, s.current_state AS state, s.current_state_at AS since,
    s.state_reason AS reason, s.sensor_state, s.display_state, d.desired_state, d.sync_status,
    s.sensor_deveui AS sensor, s.display_deveui AS display, s.deleted_at IS NOT NULL AS deleted
FROM spaces AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN display_devices AS d ON d.id = s.display_device_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
WHERE
    ($1::text IS NULL AND s.deleted_at IS NULL)
    -- Never above in age: xmin runs in a circle, age() knows its direction.
    OR age(s.xmin) <= age(($1::text)::xid8::xid)
    OR age(d.xmin) <= age(($1::text)::xid8::xid)
ORDER BY s.code;

-- name: actuations
-- The newest 50; with $1, an earlier horizon, those of the last ten minutes touched since.
SELECT
    a.id, s.code AS space, a.new_state, a.status, a.trigger_type, a.downlink_error AS error, a.created_at,
    a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE $1::text IS NULL
    OR (a.id >= uuid7_floor(now() - interval '10 minutes') AND age(a.xmin) <= age(($1::text)::xid8::xid))
ORDER BY a.id DESC
LIMIT CASE WHEN $1::text IS NULL THEN 50 END;

-- name: spaces_by_state
-- Live spaces.
SELECT current_state AS word, count(*) AS amount FROM spaces WHERE deleted_at IS NULL GROUP BY 1;

-- name: displays_by_sync
-- Enabled displays that serve a space.
SELECT d.sync_status AS word, count(*) AS amount
FROM display_devices AS d
WHERE d.enabled AND EXISTS (SELECT 1 FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL)
GROUP BY 1;

-- name: actuations_waiting
-- Those that are not with the network server yet, or of which nothing is known since.
SELECT status AS word, count(*) AS amount
FROM actuations
WHERE status IN ('pending', 'sending', 'queued', 'transmitted', 'acknowledged') GROUP BY 1;

-- name: locations
-- States of the live spaces that hang on each location, by path.
SELECT named.path AS location, s.current_state AS word, count(*) AS amount
FROM spaces AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
WHERE s.deleted_at IS NULL
GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2;
