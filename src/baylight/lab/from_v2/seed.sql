-- History of a V2 database that has worked for some days. Its spaces are there, and free.
INSERT INTO sensor_readings (device_eui, space_id, occupancy_state, battery, temperature, rssi, snr, "timestamp")
SELECT s.sensor_eui, s.id, CASE n % 2 WHEN 0 THEN 'OCCUPIED' ELSE 'FREE' END, 3.6, 21, -80, 8.5,
       now() - n * interval '40 min'
FROM spaces AS s CROSS JOIN generate_series(1, 200) AS n WHERE s.sensor_eui IS NOT NULL;

INSERT INTO state_changes (space_id, previous_state, new_state, source, "timestamp")
SELECT s.id, CASE n % 2 WHEN 0 THEN 'FREE' ELSE 'OCCUPIED' END, CASE n % 2 WHEN 0 THEN 'OCCUPIED' ELSE 'FREE' END,
       'uplink', now() - n * interval '40 min'
FROM spaces AS s CROSS JOIN generate_series(200, 1, -1) AS n WHERE s.sensor_eui IS NOT NULL;

INSERT INTO reservations (space_id, start_time, end_time, status, user_email)
SELECT s.id, now() - n * interval '1 day', now() - n * interval '1 day' + interval '2 h', 'completed',
       'driver@example.org'
FROM spaces AS s CROSS JOIN generate_series(1, 20) AS n WHERE s.sensor_eui IS NOT NULL;
