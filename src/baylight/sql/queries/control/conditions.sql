-- name: begin
-- Begins conditions, or renews the evidence of those that last: `since` stays. The rows are in the order of the index, so
-- two writers wait for each other and never deadlock.
INSERT INTO conditions (kind, subject_id, since, evidence, cause_kind, cause_id)
SELECT n.kind, n.subject_id, n.at, n.evidence, n.cause_kind, n.cause_id
FROM json_to_recordset(:rows::json) AS n (
    kind text, subject_id text, at timestamptz, evidence text, cause_kind text, cause_id text
)
ON CONFLICT (subject_id, kind) WHERE ended_at IS NULL DO UPDATE
SET evidence = excluded.evidence, cause_kind = excluded.cause_kind, cause_id = excluded.cause_id
WHERE (conditions.evidence, conditions.cause_kind, conditions.cause_id)
    IS DISTINCT FROM (excluded.evidence, excluded.cause_kind, excluded.cause_id);

-- name: end
-- Ends conditions that last.
UPDATE conditions AS c SET ended_at = greatest(c.since, n.at)
FROM json_to_recordset(:rows::json) AS n (
    kind text, subject_id text, at timestamptz
)
WHERE c.ended_at IS NULL AND c.subject_id = n.subject_id AND c.kind = n.kind;

-- name: open
-- Conditions that last, of the kinds :kinds (null: all) and the subjects :subject_ids (null: all), oldest first.
SELECT kind, subject_id, since, evidence, cause_kind, cause_id FROM conditions
WHERE ended_at IS NULL
    AND (:kinds::text[] IS NULL OR kind = ANY(:kinds::text[]))
    AND (:subject_ids::text[] IS NULL OR subject_id = ANY(:subject_ids::text[]))
ORDER BY since, kind, subject_id;

-- name: give_causes
-- Lays the conditions of displays that no command reaches beneath the condition of their network server, one of :kinds.
UPDATE conditions AS c SET cause_kind = s.kind, cause_id = s.subject_id
FROM (
    SELECT DISTINCT ON (subject_id) subject_id, kind FROM conditions
    WHERE ended_at IS NULL AND kind = ANY(:kinds::text[])
    ORDER BY subject_id, since, kind
) AS s INNER JOIN display_devices AS d ON d.network_server = s.subject_id
WHERE c.ended_at IS NULL AND c.kind = 'display_undeliverable' AND c.subject_id = d.id::text
    AND (c.cause_kind, c.cause_id) IS DISTINCT FROM (s.kind, s.subject_id);
