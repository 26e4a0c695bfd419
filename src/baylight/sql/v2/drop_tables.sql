-- What only Baylight has is deleted. The extension goes if it came with the migration.
DROP SCHEMA IF EXISTS baylight_next CASCADE;
DO $$
BEGIN
    IF (SELECT made_btree_gist FROM v2_migration.control) THEN
        DROP EXTENSION IF EXISTS btree_gist;
    END IF;
END
$$;
