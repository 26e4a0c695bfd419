CREATE TABLE sensor_devices (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui VARCHAR(16) NOT NULL UNIQUE, device_type VARCHAR(50) NOT NULL,
  device_model VARCHAR(100), manufacturer VARCHAR(100), payload_decoder VARCHAR(100), capabilities JSONB DEFAULT '{}',
  enabled BOOLEAN DEFAULT TRUE, last_seen_at TIMESTAMPTZ, created_at TIMESTAMPTZ DEFAULT NOW(), updated_at TIMESTAMPTZ DEFAULT NOW());
CREATE TABLE display_devices (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), dev_eui VARCHAR(16) NOT NULL UNIQUE, device_type VARCHAR(50) NOT NULL,
  device_model VARCHAR(100), manufacturer VARCHAR(100), display_codes JSONB NOT NULL, fport INTEGER DEFAULT 1,
  confirmed_downlinks BOOLEAN DEFAULT FALSE, enabled BOOLEAN DEFAULT TRUE, last_seen_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ DEFAULT NOW(), updated_at TIMESTAMPTZ DEFAULT NOW());
CREATE INDEX idx_sensor_devices_deveui ON sensor_devices(dev_eui, enabled) WHERE enabled = TRUE;
CREATE INDEX idx_display_devices_deveui ON display_devices(dev_eui, enabled) WHERE enabled = TRUE;
ALTER TABLE spaces ADD COLUMN sensor_device_id UUID, ADD COLUMN display_device_id UUID;
ALTER TABLE spaces ADD CONSTRAINT fk_sensor_device FOREIGN KEY (sensor_device_id) REFERENCES sensor_devices(id),
  ADD CONSTRAINT fk_display_device FOREIGN KEY (display_device_id) REFERENCES display_devices(id);
ALTER TABLE spaces RENAME COLUMN sensor_eui TO sensor_deveui;
ALTER TABLE spaces RENAME COLUMN display_eui TO display_deveui;
CREATE FUNCTION sync_device_deveuis() RETURNS TRIGGER AS $$ BEGIN RETURN NEW; END; $$ LANGUAGE plpgsql;
CREATE TRIGGER spaces_sync_deveuis BEFORE INSERT OR UPDATE ON spaces FOR EACH ROW EXECUTE FUNCTION sync_device_deveuis();
CREATE TABLE actuations (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(), space_id UUID NOT NULL REFERENCES spaces(id), trigger_type VARCHAR(30) NOT NULL,
  trigger_source VARCHAR(100), previous_state VARCHAR(20), new_state VARCHAR(20) NOT NULL, display_deveui VARCHAR(16) NOT NULL,
  display_code VARCHAR(20) NOT NULL, fport INTEGER, confirmed BOOLEAN DEFAULT FALSE, downlink_sent BOOLEAN DEFAULT FALSE,
  downlink_error TEXT, response_time_ms INTEGER, retry_count INTEGER DEFAULT 0, created_at TIMESTAMPTZ DEFAULT NOW(),
  sent_at TIMESTAMPTZ, confirmed_at TIMESTAMPTZ,
  CONSTRAINT valid_trigger_type CHECK (trigger_type IN ('sensor_uplink', 'api_reservation', 'manual_override', 'system_cleanup', 'reservation_expired')));
CREATE INDEX idx_actuations_space_time ON actuations(space_id, created_at DESC);
CREATE INDEX idx_actuations_trigger ON actuations(trigger_type, created_at DESC);
CREATE INDEX idx_actuations_errors ON actuations(downlink_sent, downlink_error) WHERE downlink_sent = FALSE OR downlink_error IS NOT NULL;
