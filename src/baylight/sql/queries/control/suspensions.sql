-- name: lock_sensors
-- Sensors in use that decode by one of :codecs (`js:<name>`) and have no open condition of it, locked in id order.
SELECT s.id::text AS id, coalesce(s.payload_decoder, t.codec) AS codec
FROM sensor_devices AS s
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE coalesce(s.payload_decoder, t.codec) = ANY(:codecs::text[]) AND s.enabled AND s.lifecycle_state <> 'decommissioned'
    AND NOT EXISTS (
        SELECT FROM conditions AS c
        WHERE c.subject_id = s.id::text AND c.kind = 'codec_suspended' AND c.ended_at IS NULL
    )
ORDER BY s.id
FOR NO KEY UPDATE OF s;

-- name: lock_over
-- Sensors whose condition ends, locked in id order: their codec is one of :answered, has a new version since, or is
-- another one by now; or the sensor is not in use.
SELECT s.id::text AS id, coalesce(s.payload_decoder, t.codec) AS codec
FROM conditions AS c
INNER JOIN sensor_devices AS s ON s.id::text = c.subject_id
INNER JOIN device_types AS t ON t.code = s.device_type
WHERE c.kind = 'codec_suspended' AND c.ended_at IS NULL
    AND (
        coalesce(s.payload_decoder, t.codec) = ANY(:answered::text[])
        OR coalesce(s.payload_decoder, t.codec) NOT LIKE 'js:%'
        OR NOT s.enabled OR s.lifecycle_state = 'decommissioned'
        OR EXISTS (
            SELECT FROM payload_codecs AS p
            WHERE p.active AND 'js:' || p.name = coalesce(s.payload_decoder, t.codec) AND p.activated_at > c.since
        )
    )
ORDER BY s.id
FOR NO KEY UPDATE OF s;
