-- Delete what only Baylight has. The extension is dropped if the migration created it.
DROP SCHEMA IF EXISTS baylight_next CASCADE;
DO $$
BEGIN
    IF (SELECT made_btree_gist FROM v2_migration.control) THEN
        DROP EXTENSION IF EXISTS btree_gist;
    END IF;
END
$$;
