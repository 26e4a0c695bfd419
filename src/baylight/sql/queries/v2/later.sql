-- name: postpone
-- Note what is built after the rows are there: foreign keys, keys and indexes of device_assignments, and `:indexes`.
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
WHERE c.relnamespace = 'baylight_next'::regnamespace AND (c.relname = 'device_assignments' OR n.relname = ANY(:indexes::text[]))
  AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid)
RETURNING table_name, name, kind;

-- name: assignments_shared
-- Mark the assignments of a display as shared if it came to serve several spaces meanwhile.
UPDATE baylight_next.device_assignments AS a SET shared = true
FROM baylight_next.display_devices AS d
WHERE d.id = a.display_device_id AND d.shared AND NOT a.shared AND a.superseded_at IS NULL AND upper_inf(a.valid);

-- name: doubled_assignments
-- Supersede the later of two assignments of one device at the same time. Two transactions of V2 made them at once, in
-- two spellings of the EUI. `verify` names the space of the later one.
UPDATE baylight_next.device_assignments AS a SET superseded_at = clock_timestamp()
FROM (
    SELECT id, lower(valid) < max(coalesce(upper(valid), 'infinity')) OVER (
        PARTITION BY device_id ORDER BY lower(valid), id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS doubled
    FROM baylight_next.device_assignments WHERE superseded_at IS NULL AND NOT shared
) AS o
WHERE a.id = o.id AND o.doubled;

-- name: postponed
-- Indexes and constraints of these kinds that are still to be built, in the order in which they were noted.
SELECT id, table_name, name, kind, definition FROM v2_migration.postponed
WHERE kind = ANY(:kinds::text[]) AND (table_name = 'device_assignments') = :of_assignments
ORDER BY id;

-- name: postponed_foreign_keys
-- Foreign keys to be added (`foreign_key`) or to be validated (`unvalidated`), of any table.
SELECT id, table_name, name, kind, definition FROM v2_migration.postponed WHERE kind = :kind ORDER BY id;

-- name: built
-- Note that these are built.
DELETE FROM v2_migration.postponed WHERE id = ANY(:ids::bigint[]);

-- name: foreign_keys_added
-- Note that the foreign keys are added, and not validated yet.
UPDATE v2_migration.postponed SET kind = 'unvalidated' WHERE kind = 'foreign_key';

-- name: assignments_logged
-- True while changes of assignments are logged, until the keys of their history are built.
SELECT assignments_logged AS logged FROM v2_migration.control;

-- name: replay_assignments
-- Write at most `:limit` logged changes of assignments, and return their number.
SELECT v2_migration.replay_assignments(:limit::integer) AS changes;

-- name: analyze_assignments
-- Analyze the table, so that the planner knows its size. It is skipped if another session holds it.
ANALYZE (SKIP_LOCKED) baylight_next.device_assignments;
