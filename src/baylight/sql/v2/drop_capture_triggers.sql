DROP TRIGGER IF EXISTS baylight_capture ON public.spaces;
DROP TRIGGER IF EXISTS baylight_keep_state ON public.spaces;
DROP TRIGGER IF EXISTS baylight_capture ON public.reservations;
DROP TRIGGER IF EXISTS baylight_capture ON public.state_changes;
DROP TRIGGER IF EXISTS baylight_capture ON public.api_keys;
