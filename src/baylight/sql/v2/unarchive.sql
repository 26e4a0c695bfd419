ALTER TABLE v2_archive.spaces SET SCHEMA public;
ALTER TABLE v2_archive.reservations SET SCHEMA public;
ALTER TABLE v2_archive.sensor_readings SET SCHEMA public;
ALTER TABLE v2_archive.state_changes SET SCHEMA public;
ALTER TABLE v2_archive.api_keys SET SCHEMA public;
