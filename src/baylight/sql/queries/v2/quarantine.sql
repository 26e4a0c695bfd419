-- name: quarantined
-- Values that could not be carried over, without those that a person has left behind. `code`: that of the space, NULL if
-- there is no such space. The value of a reservation is the id of its space.
SELECT q.source_table AS "table", q.source_id AS id, s.code, q.field, q.value, q.reason, q.detail
FROM v2_migration.quarantine_open AS q
LEFT JOIN public.spaces AS s
    ON s.id = CASE q.source_table WHEN 'spaces' THEN q.source_id WHEN 'reservations' THEN q.value END::uuid
ORDER BY q.source_table, q.reason, s.code, q.source_id, q.field;

-- name: retry
-- Let Baylight's rows follow these rows of a table of V2's again, those that V2 is not writing at this moment.
SELECT v2_migration.follow_each(:table, :ids) AS carried;

-- name: drop
-- Note that this value stays behind. V2's row stays as it is.
INSERT INTO v2_migration.quarantine_drops AS d (source_table, source_id, field, value, reason, dropped_by)
SELECT source_table, source_id, field, value, :reason, :by FROM v2_migration.quarantine_open
WHERE source_table = :table AND source_id = :id AND field = :field
ON CONFLICT (source_table, source_id, field) DO UPDATE
SET value = excluded.value, reason = excluded.reason, dropped_by = excluded.dropped_by, at = excluded.at;

-- name: flagged
-- Displays with a code of V2's that differs from the catalogue's.
SELECT d.dev_eui, c.key AS state, c.value AS code, t.default_config -> 'display_codes' ->> c.key AS catalogue_code
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
CROSS JOIN LATERAL jsonb_each_text(d.display_codes) AS c
WHERE c.value IN ('ffa5006400') AND c.value <> t.default_config -> 'display_codes' ->> c.key
ORDER BY d.dev_eui, c.key;

-- name: fix
-- Give the displays of `flagged` the catalogue's code.
UPDATE display_devices AS d
SET display_codes = d.display_codes || f.right_codes
FROM (
    SELECT d.id, jsonb_object_agg(c.key, t.default_config -> 'display_codes' -> c.key) AS right_codes
    FROM display_devices AS d
    INNER JOIN device_types AS t ON t.code = d.device_type
    CROSS JOIN LATERAL jsonb_each_text(d.display_codes) AS c
    WHERE c.value IN ('ffa5006400') AND c.value <> t.default_config -> 'display_codes' ->> c.key
    GROUP BY d.id
) AS f
WHERE f.id = d.id;
