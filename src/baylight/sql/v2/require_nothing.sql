ALTER TABLE public.spaces DROP CONSTRAINT IF EXISTS spaces_sensor_required;
ALTER TABLE public.spaces DROP CONSTRAINT IF EXISTS spaces_display_required;
