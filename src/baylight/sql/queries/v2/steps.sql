-- name: note_last_reading
-- Note the newest reading of V2 before the first sensor is registered.
UPDATE v2_migration.control SET last_reading = coalesce((SELECT max(id) FROM public.sensor_readings), 0);

-- name: extension_left
-- Why the extension that the migration created is still there. No row if it is not there, or was there before.
SELECT CASE WHEN pg_has_role(e.extowner, 'USAGE') THEN 'other things of this database use it'
            ELSE 'it belongs to ' || pg_get_userbyid(e.extowner) END AS reason
FROM pg_extension AS e
WHERE e.extname = 'btree_gist' AND (SELECT made_btree_gist FROM v2_migration.control);
