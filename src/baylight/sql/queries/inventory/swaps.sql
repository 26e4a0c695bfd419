-- name: insert
-- Adds the part of a swap that concerns one space.
INSERT INTO device_swaps (
    swap_id, space_id, role, old_device_id, new_device_id, at, recorded_at, actor, note, retired, new_codes_before
)
VALUES (
    :swap_id, :space_id, :role, :old_id, :new_id, :at, :recorded_at, :actor, :note, :retired, :new_codes_before
);

-- name: parts
-- The parts of a swap, one for each space.
SELECT space_id, role, old_device_id, new_device_id, at, recorded_at, retired, new_codes_before, undone_at
FROM device_swaps WHERE swap_id = :swap_id ORDER BY space_id;

-- name: latest
-- The newest swap in which a device took part and that was not undone.
SELECT swap_id FROM device_swaps
WHERE (new_device_id = :device_id OR old_device_id = :device_id) AND undone_at IS NULL
ORDER BY recorded_at DESC LIMIT 1;

-- name: mark_undone
-- Marks all parts of a swap.
UPDATE device_swaps SET undone_at = :now, undone_by = :actor WHERE swap_id = :swap_id;

-- name: list
-- Swaps, the newest first: the one of an id, those of a space, those of a device, or all; recorded in a time.
SELECT w.swap_id AS id, w.role, array_agg(s.code ORDER BY s.code) AS spaces,
    coalesce(o.dev_eui, od.dev_eui) AS old, coalesce(n.dev_eui, nd.dev_eui) AS new,
    w.at, w.recorded_at, w.actor, w.note, w.retired, w.undone_at, w.undone_by
FROM device_swaps AS w
INNER JOIN spaces AS s ON s.id = w.space_id
LEFT JOIN sensor_devices AS o ON w.role = 'sensor' AND o.id = w.old_device_id
LEFT JOIN sensor_devices AS n ON w.role = 'sensor' AND n.id = w.new_device_id
LEFT JOIN display_devices AS od ON w.role = 'display' AND od.id = w.old_device_id
LEFT JOIN display_devices AS nd ON w.role = 'display' AND nd.id = w.new_device_id
WHERE (
    :space_id::uuid IS NULL OR w.swap_id IN (SELECT p.swap_id FROM device_swaps AS p WHERE p.space_id = :space_id)
)
AND (:device_id::uuid IS NULL OR w.old_device_id = :device_id OR w.new_device_id = :device_id)
AND (:swap_id::uuid IS NULL OR w.swap_id = :swap_id)
AND (:from_at::timestamptz IS NULL OR w.recorded_at >= :from_at)
AND (:until_at::timestamptz IS NULL OR w.recorded_at < :until_at)
GROUP BY w.swap_id, w.role, 4, 5, w.at, w.recorded_at, w.actor, w.note, w.retired, w.undone_at, w.undone_by
ORDER BY w.recorded_at DESC LIMIT :limit;

-- name: not_before
-- The earliest instant at which new rows of these spaces and this role may begin; null if no device serves them.
SELECT max(lower(valid)) + interval '1 microsecond' AS at FROM device_assignments
WHERE space_id = ANY(:space_ids::uuid[]) AND role = :role AND superseded_at IS NULL AND upper_inf(valid);

-- name: set_mobile
-- Lets a sensor serve several spaces.
UPDATE sensor_devices SET mobile = true WHERE id = :sensor_id;

-- name: take_over
-- Gives a display the codes and the sharing of the display that it replaces.
UPDATE display_devices
SET display_codes = :codes, alike_allowed = :alike_allowed, shared = shared OR :shared, shared_rule = :shared_rule
WHERE id = :display_id;

-- name: state_when_retired
-- The state of a device before it was decommissioned.
SELECT previous_state FROM device_lifecycle_events
WHERE device_id = :device_id AND new_state = 'decommissioned' ORDER BY at DESC, id DESC LIMIT 1;
