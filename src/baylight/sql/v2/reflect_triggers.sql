CREATE OR REPLACE TRIGGER v2_reflect AFTER INSERT OR UPDATE ON baylight_next.spaces
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.reflect_space();
CREATE OR REPLACE TRIGGER v2_reflect AFTER UPDATE OF name, path ON baylight_next.locations
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.reflect_location();
CREATE OR REPLACE TRIGGER v2_reflect AFTER INSERT OR UPDATE ON baylight_next.reservations
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.reflect_reservation();
CREATE OR REPLACE TRIGGER v2_reflect AFTER INSERT ON baylight_next.state_changes
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION v2_migration.reflect_state_changes();
CREATE OR REPLACE TRIGGER v2_reflect AFTER UPDATE OF is_active ON baylight_next.api_keys
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.reflect_api_key();
CREATE OR REPLACE TRIGGER v2_divert BEFORE UPDATE ON baylight_next.spaces
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.divert_decision();
CREATE OR REPLACE TRIGGER v2_divert BEFORE INSERT ON baylight_next.state_changes
FOR EACH ROW WHEN (current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on')
EXECUTE FUNCTION v2_migration.divert_row();
CREATE OR REPLACE TRIGGER v2_divert BEFORE UPDATE OF status ON baylight_next.reservations
FOR EACH ROW WHEN (
    NEW.status = 'completed' AND OLD.status = 'active' AND current_setting('baylight.v2_sync', true) IS DISTINCT FROM 'on'
)
EXECUTE FUNCTION v2_migration.divert_row();
CREATE OR REPLACE TRIGGER v2_divert BEFORE INSERT ON baylight_next.conditions
FOR EACH ROW WHEN (NEW.kind IN ('display_commanded_by_other', 'display_wrong'))
EXECUTE FUNCTION v2_migration.divert_row();
CREATE OR REPLACE TRIGGER v2_hold BEFORE UPDATE OF status ON baylight_next.actuations
FOR EACH ROW WHEN (NEW.status = 'sending' AND OLD.status <> 'sending')
EXECUTE FUNCTION v2_migration.hold_downlink();
