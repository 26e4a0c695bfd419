-- name: begin
-- Lock imports, so that one waits for the other.
SELECT pg_advisory_xact_lock(hashtext('baylight.bulk'));

-- name: make_tables
-- Make what every import needs beside its rows. `bulk_touched`: spaces to decide; `released`: the display that such a
-- space loses. `bulk_displays`: displays that change or begin to serve.
CREATE TEMP TABLE bulk_errors (line integer, "column" text, code text, message text) ON COMMIT DROP;
CREATE TEMP TABLE bulk_touched (id uuid PRIMARY KEY, released uuid) ON COMMIT DROP;
CREATE TEMP TABLE bulk_displays (id uuid) ON COMMIT DROP;

-- name: refuse_repeated
-- Refuse rows that have the same object as an earlier row. Made for each kind: `key`, the columns of its key.
INSERT INTO bulk_errors
SELECT line, :column, 'row_twice', format('row %s has the same object', earlier)
FROM (SELECT line, min(line) OVER (PARTITION BY {key}) AS earlier FROM bulk_rows) AS n
WHERE line > earlier;

-- name: resolve
-- Find the stored object of each row; its values fill the empty cells. Made for each kind: `stored`, its stored objects;
-- `same`, the comparison of the keys; `kept`, an assignment for each column outside the key.
UPDATE bulk_rows AS n SET id = o.id, before = to_jsonb(o) - 'id', {kept} FROM ({stored}) AS o WHERE {same};

-- name: compare
-- Note whether a row adds an object, changes one, or does nothing (NULL).
UPDATE bulk_rows AS n
SET action = CASE WHEN before IS NULL THEN 'add' ELSE 'change' END, id = coalesce(id, gen_random_uuid())
WHERE before IS DISTINCT FROM to_jsonb(n) - '{line,kept,id,ref,before,action}'::text [];

-- name: analyze
-- Autovacuum never looks at a temporary table. Without statistics a plan may join each row with each.
ANALYZE bulk_rows;

-- name: add_errors
-- Add one error for each of some rows.
INSERT INTO bulk_errors SELECT unnest(:lines::integer []), :column, :code, :message;

-- name: counts
-- Return how many rows there are, and what they do.
SELECT count(*) AS rows, count(*) FILTER (WHERE action = 'add') AS added,
       count(*) FILTER (WHERE action = 'change') AS changed
FROM bulk_rows;

-- name: errors_by_code
-- Return how many errors of each code there are.
SELECT code, count(*) AS times FROM bulk_errors GROUP BY code ORDER BY code;

-- name: first_errors
-- Return the first errors in the order of the file.
SELECT line AS row, "column", code, message FROM bulk_errors ORDER BY line, "column", code LIMIT :count;

-- name: lock_touched
-- Lock the touched spaces, then their displays: the order that the whole program keeps, each by id.
SELECT count(*) FROM (
    SELECT FROM spaces WHERE id IN (SELECT id FROM bulk_touched) ORDER BY id FOR NO KEY UPDATE
) AS locked;
SELECT count(*) FROM (
    SELECT FROM display_devices
    WHERE id IN (
        SELECT s.display_device_id FROM bulk_touched AS t INNER JOIN spaces AS s ON s.id = t.id
        UNION ALL SELECT d.id FROM bulk_displays AS d
    )
    ORDER BY id FOR NO KEY UPDATE
) AS locked;

-- name: keep_serving
-- Release no display that serves another space, unless it is shared: then its remaining spaces decide its light.
UPDATE bulk_touched AS t SET released = NULL
FROM display_devices AS d
WHERE d.id = t.released AND NOT d.shared
    AND EXISTS (SELECT FROM spaces AS s WHERE s.display_device_id = d.id AND s.deleted_at IS NULL);

-- name: count_touched
-- Return how many spaces there are to decide.
SELECT count(*) FROM bulk_touched;

-- name: touched
-- Return a page of the spaces to decide, by id. `released`: a display that no longer serves any space.
SELECT id, released FROM bulk_touched WHERE id > :after ORDER BY id LIMIT :count;

-- name: record
-- Write a row of the audit log for each object that changed. `role`: of a device, its kind of object. `named_by`: the
-- field that identifies the object.
INSERT INTO audit_log (actor, action, object_type, object_id, before, after)
SELECT :actor::text, k.kind || CASE n.action WHEN 'add' THEN :added::text ELSE :changed::text END, k.kind,
       n.fields ->> :named_by::text, n.before, n.fields - '{line,kept,id,ref,before,action}'::text []
FROM (
    SELECT action, before, to_jsonb(b) AS fields FROM bulk_rows AS b WHERE action IS NOT NULL ORDER BY line
) AS n
CROSS JOIN LATERAL (SELECT coalesce(n.fields ->> 'role', :object_type) AS kind) AS k;

-- name: export
-- Return what is stored in the form of a file. Made for each kind: `columns`, `stored`, `order`.
SELECT {columns} FROM ({stored}) AS o ORDER BY {order};
