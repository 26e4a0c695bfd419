-- name: horizon
-- The horizon: every later read sees all transactions that are older. And the newest state change, with its epoch: ids
-- count on only within the same cluster, timeline, database and table. A restore makes at least one of them new.
SELECT
    pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
    (SELECT coalesce(max(id), 0) FROM state_changes) AS last_change_id,
    concat_ws(
        '-',
        (SELECT c.system_identifier FROM pg_control_system() AS c),
        substring(pg_walfile_name(pg_current_wal_lsn()) FOR 8),
        (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
        'state_changes'::regclass::oid
    ) AS epoch;

-- name: spaces
-- Spaces as the live page shows them: all live ones, or those that changed since a horizon, the deleted ones included.
SELECT
    s.id, s.code, s.name, named.path AS location, s.current_state AS state, s.current_state_at AS state_at,
    s.state_reason, s.sensor_state, s.display_state, d.desired_state, d.sync_status,
    s.sensor_deveui AS sensor_dev_eui, s.display_deveui AS display_dev_eui, s.deleted_at IS NOT NULL AS deleted,
    CASE WHEN s.unproven_reason IS NOT NULL THEN
        json_build_object('reason', s.unproven_reason, 'since', s.unproven_since, 'until', s.unproven_until) END AS unproven,
    ARRAY(
        SELECT c.kind FROM conditions AS c WHERE c.subject_id = d.id::text AND c.ended_at IS NULL ORDER BY c.since, c.kind
    ) AS conditions
FROM spaces AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN display_devices AS d ON d.id = s.display_device_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
WHERE
    (:since::text IS NULL AND s.deleted_at IS NULL)
    -- Compared by age: transaction ids wrap around, and age() takes that into account.
    OR age(s.xmin) <= age((:since::text)::xid8::xid)
    OR age(d.xmin) <= age((:since::text)::xid8::xid)
ORDER BY s.code;

-- name: actuations
-- The newest 50 actuations, or those of the last ten minutes that changed since a horizon.
SELECT
    a.id, s.code AS space, a.new_state, a.status, a.trigger_type, a.downlink_error, a.created_at,
    a.sent_at, a.transmitted_at, a.confirmed_at, a.shown_at
FROM actuations AS a INNER JOIN spaces AS s ON s.id = a.space_id
WHERE :since::text IS NULL
    OR (a.id >= uuid7_floor(now() - interval '10 minutes') AND age(a.xmin) <= age((:since::text)::xid8::xid))
ORDER BY a.id DESC
LIMIT CASE WHEN :since::text IS NULL THEN 50 END;

-- name: spaces_by_state
-- Live spaces by state.
SELECT current_state AS word, count(*) AS amount FROM spaces WHERE deleted_at IS NULL GROUP BY 1;

-- name: unproven_by_reason
-- Live spaces with the mark `unproven` by its reason.
SELECT unproven_reason AS word, count(*) AS amount FROM spaces
WHERE deleted_at IS NULL AND unproven_reason IS NOT NULL GROUP BY 1;

-- name: conditions_by_kind
-- Conditions that last by kind.
SELECT kind AS word, count(*) AS amount FROM conditions WHERE ended_at IS NULL GROUP BY 1;

-- name: displays_by_sync
-- Enabled displays that serve a space, by sync status.
SELECT d.sync_status AS word, count(*) AS amount
FROM display_devices AS d
WHERE d.enabled AND EXISTS (SELECT 1 FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL)
GROUP BY 1;

-- name: actuations_by_status
-- Unfinished actuations by status.
SELECT status AS word, count(*) AS amount
FROM actuations
WHERE status IN ('pending', 'sending', 'queued', 'transmitted', 'acknowledged') GROUP BY 1;

-- name: frames_missing
-- Frames that are missing in the present sessions of enabled devices, by role.
SELECT 'sensor' AS word, coalesce(sum(frames_missing), 0)::bigint AS amount FROM sensor_devices WHERE enabled
UNION ALL
SELECT 'display', coalesce(sum(frames_missing), 0)::bigint FROM display_devices WHERE enabled;

-- name: locations
-- Live spaces of each location by state, in the order of the paths.
SELECT named.path AS location, s.current_state AS word, count(*) AS amount
FROM spaces AS s
LEFT JOIN locations AS l ON l.id = s.location_id
LEFT JOIN LATERAL (
    SELECT string_agg(a.name, '/' ORDER BY part.depth) AS path
    FROM unnest(l.path) WITH ORDINALITY AS part (id, depth) INNER JOIN locations AS a ON a.id = part.id
) AS named ON true
WHERE s.deleted_at IS NULL
GROUP BY 1, 2 ORDER BY 1 NULLS LAST, 2;
