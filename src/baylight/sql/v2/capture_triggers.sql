-- Each table of V2 gets its triggers in a transaction of its own, so that no two tables are locked at once.
CREATE OR REPLACE TRIGGER baylight_keep_state BEFORE UPDATE OF state ON public.spaces
FOR EACH ROW WHEN (OLD.state <> NEW.state AND current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.keep_state();
CREATE OR REPLACE TRIGGER baylight_capture_insert AFTER INSERT ON public.spaces REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_spaces();
CREATE OR REPLACE TRIGGER baylight_capture_update AFTER UPDATE ON public.spaces
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_spaces();
CREATE OR REPLACE TRIGGER baylight_capture_delete AFTER DELETE ON public.spaces REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_spaces();
CREATE OR REPLACE TRIGGER baylight_capture_insert AFTER INSERT ON public.reservations REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_reservations();
CREATE OR REPLACE TRIGGER baylight_capture_update AFTER UPDATE ON public.reservations
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_reservations();
CREATE OR REPLACE TRIGGER baylight_capture_delete AFTER DELETE ON public.reservations REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_reservations();
CREATE OR REPLACE TRIGGER baylight_capture AFTER INSERT ON public.state_changes
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION v2_migration.capture_state_changes();
CREATE OR REPLACE TRIGGER baylight_capture
AFTER INSERT OR DELETE OR UPDATE OF id, key_hash, key_name, is_active, is_admin ON public.api_keys
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.capture_api_key();
