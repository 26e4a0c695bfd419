-- Delete what only Baylight has. The extension is dropped if the migration created it, and nothing else needs it.
DROP SCHEMA IF EXISTS baylight_next CASCADE;
DO $$
BEGIN
    IF (SELECT made_btree_gist FROM v2_migration.control) THEN
        DROP EXTENSION IF EXISTS btree_gist;
    END IF;
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
    RAISE NOTICE 'the extension btree_gist stays: %', SQLERRM;
END
$$;
