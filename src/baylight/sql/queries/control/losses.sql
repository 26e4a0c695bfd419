-- name: are_open
-- Whether sensors have not reported since a broker lost events.
SELECT EXISTS (SELECT FROM sensor_devices WHERE unproven_reason = 'session_lost');
