-- Deleted spaces have no devices, so this is a rule for live ones, not NOT NULL. NOT VALID first: the rows are checked
-- without a lock that blocks writers.
ALTER TABLE public.spaces DROP CONSTRAINT IF EXISTS spaces_sensor_required;
ALTER TABLE public.spaces ADD CONSTRAINT spaces_sensor_required
CHECK (deleted_at IS NOT NULL OR sensor_device_id IS NOT NULL) NOT VALID;
ALTER TABLE public.spaces VALIDATE CONSTRAINT spaces_sensor_required;
