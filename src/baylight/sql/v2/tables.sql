-- Baylight's schema, and the extension that its constraints need. The tables are those of the ordinary migrations.
UPDATE v2_migration.control SET made_btree_gist = NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist');
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;
CREATE SCHEMA baylight_next;
CREATE TABLE baylight_next.schema_migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
