-- In a transaction of its own: it reads every row, and no other transaction waits for it.
ALTER TABLE spaces VALIDATE CONSTRAINT spaces_metadata_bounded;
ALTER TABLE locations VALIDATE CONSTRAINT locations_metadata_bounded;
ALTER TABLE reservations VALIDATE CONSTRAINT reservations_metadata_bounded;
ALTER TABLE device_types VALIDATE CONSTRAINT device_types_config_bounded;
ALTER TABLE device_types VALIDATE CONSTRAINT device_types_capabilities_bounded;
ALTER TABLE sensor_devices VALIDATE CONSTRAINT sensor_devices_capabilities_bounded;
ALTER TABLE display_devices VALIDATE CONSTRAINT display_devices_codes_bounded;
ALTER TABLE payload_codecs VALIDATE CONSTRAINT payload_codecs_mapping_bounded;
ALTER TABLE payload_codecs VALIDATE CONSTRAINT payload_codecs_examples_bounded;
