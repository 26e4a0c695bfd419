-- In a transaction of its own: it reads every row, and no other transaction waits for it.
ALTER TABLE sensor_devices VALIDATE CONSTRAINT sensor_devices_application_id;
ALTER TABLE display_devices VALIDATE CONSTRAINT display_devices_application_id;
