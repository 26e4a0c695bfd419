-- name: note_last_reading
-- Note the newest reading of V2 before the first sensor is registered.
UPDATE v2_migration.control SET last_reading = coalesce((SELECT max(id) FROM public.sensor_readings), 0);
