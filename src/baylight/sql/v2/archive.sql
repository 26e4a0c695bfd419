CREATE SCHEMA IF NOT EXISTS v2_archive;
ALTER TABLE public.spaces SET SCHEMA v2_archive;
ALTER TABLE public.reservations SET SCHEMA v2_archive;
ALTER TABLE public.sensor_readings SET SCHEMA v2_archive;
ALTER TABLE public.state_changes SET SCHEMA v2_archive;
ALTER TABLE public.api_keys SET SCHEMA v2_archive;
