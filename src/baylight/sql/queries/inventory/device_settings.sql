-- name: change_sensor
-- Replaces what an operator may change at any time.
UPDATE sensor_devices SET notes = :notes, mobile = :mobile WHERE id = :id;

-- name: change_display
-- Replaces what an operator may change at any time.
UPDATE display_devices SET notes = :notes, fport = :f_port, confirmed_downlinks = :confirmed_downlinks WHERE id = :id;

-- name: set_shared
-- Sets whether a display may serve several spaces, and by which rule. Marks its assignments in force with it.
WITH marked AS (
    UPDATE device_assignments SET shared = :shared
    WHERE display_device_id = :id AND superseded_at IS NULL AND upper_inf(valid)
)

UPDATE display_devices SET shared = :shared, shared_rule = :shared_rule WHERE id = :id;
