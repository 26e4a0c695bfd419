-- name: active
-- Active versions of the codecs :names; `source` is NULL for those whose ids are among :known.
SELECT id, name, CASE WHEN id <> ALL(:known::uuid[]) THEN source END AS source, mapping
FROM payload_codecs
WHERE active AND name = ANY(:names::text[]);
