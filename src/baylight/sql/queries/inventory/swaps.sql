-- name: insert
-- One space's part of a swap.
INSERT INTO device_swaps (
    swap_id, space_id, role, old_device_id, new_device_id, at, recorded_at, actor, note, retired, new_codes_before
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: parts
-- The parts of a swap.
SELECT swap_id, space_id, role, old_device_id, new_device_id, at, recorded_at, retired, new_codes_before, undone_at
FROM device_swaps WHERE swap_id = $1 ORDER BY space_id;

-- name: latest
-- The newest swap that a device took part in and that was not undone.
SELECT swap_id FROM device_swaps
WHERE (new_device_id = $1 OR old_device_id = $1) AND undone_at IS NULL ORDER BY recorded_at DESC LIMIT 1;

-- name: undone
-- It counts no more.
UPDATE device_swaps SET undone_at = $2, undone_by = $3 WHERE swap_id = $1;

-- name: list
-- Swaps, the newest first: of a space ($1), of a device ($2); at most $3.
SELECT w.swap_id AS id, w.role, array_agg(s.code ORDER BY s.code) AS spaces,
    coalesce(o.dev_eui, od.dev_eui) AS old, coalesce(n.dev_eui, nd.dev_eui) AS new,
    w.at, w.recorded_at, w.actor, w.note, w.retired, w.undone_at, w.undone_by
FROM device_swaps AS w
INNER JOIN spaces AS s ON s.id = w.space_id
LEFT JOIN sensor_devices AS o ON w.role = 'sensor' AND o.id = w.old_device_id
LEFT JOIN sensor_devices AS n ON w.role = 'sensor' AND n.id = w.new_device_id
LEFT JOIN display_devices AS od ON w.role = 'display' AND od.id = w.old_device_id
LEFT JOIN display_devices AS nd ON w.role = 'display' AND nd.id = w.new_device_id
WHERE ($1::uuid IS NULL OR w.swap_id IN (SELECT p.swap_id FROM device_swaps AS p WHERE p.space_id = $1))
    AND ($2::uuid IS NULL OR w.old_device_id = $2 OR w.new_device_id = $2)
    AND ($4::uuid IS NULL OR w.swap_id = $4)
GROUP BY w.swap_id, w.role, 4, 5, w.at, w.recorded_at, w.actor, w.note, w.retired, w.undone_at, w.undone_by
ORDER BY w.recorded_at DESC LIMIT $3;

-- name: not_before
-- A moment after which the devices of given spaces have not changed.
SELECT max(lower(valid)) + interval '1 microsecond' AS at FROM device_assignments
WHERE space_id = ANY($1::uuid[]) AND role = $2 AND superseded_at IS NULL AND upper_inf(valid);

-- name: take_over
-- What a display takes over from the one that it replaces.
UPDATE display_devices SET display_codes = $2, shared = shared OR $3, shared_rule = $4 WHERE id = $1;

-- name: restore_codes
-- What the display had before the swap.
UPDATE display_devices SET display_codes = $2 WHERE id = $1;

-- name: state_when_retired
-- What a device was before it was decommissioned.
SELECT previous_state FROM device_lifecycle_events
WHERE device_id = $1 AND new_state = 'decommissioned' ORDER BY at DESC, id DESC LIMIT 1;
