-- name: columns
-- Columns of the tables and views `:tables`, in all schemas but PostgreSQL's.
SELECT n.nspname::text AS schema, c.relname::text AS "table", a.attname::text AS name
FROM pg_attribute AS a
INNER JOIN pg_class AS c ON c.oid = a.attrelid
INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = ANY(:tables::text[]) AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
  AND n.nspname !~ '^(pg_|information_schema$)';
