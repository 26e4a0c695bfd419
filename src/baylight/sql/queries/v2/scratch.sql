-- name: copy
-- Statements that copy V2's tables `:tables`, empty, to the schema v2_rehearsal_public, with their columns, keys, checks,
-- indexes and triggers. The names stay. Triggers are disabled. Functions of triggers are copied if the migration would
-- move them. Foreign keys to other tables are left out, since to create them would lock these tables.
WITH t AS (
    SELECT c.oid, c.relname, format('public.%I', c.relname) AS source, format('v2_rehearsal_public.%I', c.relname) AS copy
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[])
), triggers AS (
    SELECT t.relname, t.source, t.copy, g.tgname, g.tgfoid, pg_get_triggerdef(g.oid) AS definition,
           p.pronamespace = 'public'::regnamespace AND p.proowner = current_user::regrole
           AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e') AS copied
    FROM t
    INNER JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    INNER JOIN pg_proc AS p ON p.oid = g.tgfoid
)
SELECT s.statement FROM (
    SELECT 1 AS place, '' AS name, 'CREATE SCHEMA v2_rehearsal_public' AS statement
    UNION ALL
    SELECT 2, relname, format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY'
                              ' INCLUDING CONSTRAINTS INCLUDING STORAGE)', copy, source) FROM t
    UNION ALL  -- a default of V2's must not advance V2's sequence
    SELECT 3, t.relname, v.statement
    FROM t
    INNER JOIN pg_attrdef AS d ON d.adrelid = t.oid
    INNER JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.adnum
    INNER JOIN pg_depend AS p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
        AND p.refclassid = 'pg_class'::regclass
    INNER JOIN pg_class AS q ON q.oid = p.refobjid AND q.relkind = 'S'
    CROSS JOIN LATERAL (
        VALUES
        (format('CREATE SEQUENCE v2_rehearsal_public.%I OWNED BY %s.%I', q.relname, t.copy, a.attname)),
        (format('ALTER TABLE %s ALTER %I SET DEFAULT nextval(%L)', t.copy, a.attname,
                format('v2_rehearsal_public.%I', q.relname)))
    ) AS v (statement)
    UNION ALL
    SELECT CASE k.contype WHEN 'f' THEN 5 ELSE 4 END, t.relname,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.copy, k.conname,
                  replace(pg_get_constraintdef(k.oid), 'REFERENCES public.', 'REFERENCES v2_rehearsal_public.'))
    FROM t INNER JOIN pg_constraint AS k ON k.conrelid = t.oid
    WHERE k.contype IN ('p', 'u', 'x') OR (k.contype = 'f' AND k.confrelid IN (SELECT oid FROM t))
    UNION ALL
    SELECT 6, t.relname, replace(pg_get_indexdef(i.indexrelid), ' ON ' || t.source || ' ', ' ON ' || t.copy || ' ')
    FROM t INNER JOIN pg_index AS i ON i.indrelid = t.oid
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.conrelid = t.oid)
    UNION ALL
    SELECT 7, '', replace(pg_get_functiondef(f.tgfoid), 'FUNCTION public.', 'FUNCTION v2_rehearsal_public.')
    FROM (SELECT DISTINCT tgfoid FROM triggers WHERE copied) AS f
    UNION ALL
    SELECT v.place, relname, v.statement FROM triggers
    CROSS JOIN LATERAL (
        VALUES
        (8, replace(CASE WHEN copied THEN replace(definition, 'EXECUTE FUNCTION public.',
                                                  'EXECUTE FUNCTION v2_rehearsal_public.') ELSE definition END,
                    ' ON ' || source || ' ', ' ON ' || copy || ' ')),
        (9, format('ALTER TABLE %s DISABLE TRIGGER %I', copy, tgname))
    ) AS v (place, statement)
) AS s
ORDER BY s.place, s.name, s.statement LIKE 'ALTER%', s.statement;

-- name: sample
-- Statements that copy `:spaces` spaces of V2, the newest first, and some rows of the other tables `:tables` that belong
-- to them. V2's rows are read under ACCESS SHARE. Numbers of rows begin with 1.
SELECT format('INSERT INTO v2_rehearsal_public.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s', c.relname,
              string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
              string_agg(CASE WHEN a.attname = 'id' AND a.atttypid IN ('bigint'::regtype, 'integer'::regtype)
                              THEN 'row_number() OVER ()' ELSE quote_ident(a.attname) END, ', ' ORDER BY a.attnum),
              CASE c.relname
              WHEN 'spaces' THEN format('public.spaces LIMIT %s', :spaces::integer)
              WHEN 'api_keys' THEN format('public.api_keys LIMIT %s', :spaces)
              ELSE format('(SELECT l.* FROM (SELECT id FROM v2_rehearsal_public.spaces) AS s CROSS JOIN LATERAL (SELECT *'
                          ' FROM public.%I AS l WHERE l.space_id = s.id LIMIT 3) AS l) AS l', c.relname)
              END) AS statement
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY(:tables::text[])
GROUP BY c.oid, c.relname
ORDER BY c.relname <> 'spaces', c.relname;
