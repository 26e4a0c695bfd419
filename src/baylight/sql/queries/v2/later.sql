-- name: postpone
-- Notes what is built when the rows are there. $1 indexes besides those of device_assignments.
INSERT INTO v2_migration.postponed (table_name, name, kind, definition)
SELECT c.relname, k.conname, CASE k.contype WHEN 'f' THEN 'foreign_key' ELSE 'key' END, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
INNER JOIN pg_class AS c ON c.oid = k.conrelid
WHERE c.relnamespace = 'baylight_next'::regnamespace
  AND ((k.contype = 'f' AND c.relname IN ('spaces', 'sensor_devices', 'display_devices', 'device_assignments', 'state_changes',
                                          'reservations'))
       OR (k.contype IN ('p', 'x') AND c.relname = 'device_assignments'))
UNION ALL
SELECT c.relname, n.relname, 'index', pg_get_indexdef(i.indexrelid)
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indrelid
INNER JOIN pg_class AS n ON n.oid = i.indexrelid
WHERE c.relnamespace = 'baylight_next'::regnamespace AND (c.relname = 'device_assignments' OR n.relname = ANY($1::text[]))
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
RETURNING table_name, name, kind;

-- name: assignments_shared
-- A display that came to serve several spaces meanwhile: what it serves is shared.
UPDATE baylight_next.device_assignments AS a SET shared = true
FROM baylight_next.display_devices AS d
WHERE d.id = a.display_device_id AND d.shared AND NOT a.shared AND a.superseded_at IS NULL AND upper_inf(a.valid);

-- name: doubled_assignments
-- Two transactions of V2's that gave the same device to two spaces at once, in two spellings: the later row counts no
-- more, and `verify` names its space.
UPDATE baylight_next.device_assignments AS a SET superseded_at = clock_timestamp()
FROM (
    SELECT id, lower(valid) < max(coalesce(upper(valid), 'infinity')) OVER (
        PARTITION BY device_id ORDER BY lower(valid), id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS doubled
    FROM baylight_next.device_assignments WHERE superseded_at IS NULL AND NOT shared
) AS o
WHERE a.id = o.id AND o.doubled;
