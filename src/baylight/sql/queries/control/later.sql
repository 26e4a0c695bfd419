-- name: due
-- Uplinks that wait for their codec, with the codec that their device has now: those tried least first, then the oldest.
-- Leaves out the codecs :held, or returns only those of :only (null: all), and leaves out codecs without active version.
-- `moved_at`: when the sensor came to the place where it is, or left one.
SELECT q.dev_eui, q.deduplication_id::text AS deduplication_id, q.observed_at, q.received_at, q.at, q.dev_addr, q.tries,
    u.network_at, u.f_cnt, u.f_port, u.data, u.network_server, c.codec,
    (
        SELECT max(greatest(upper(a.valid), a.recorded_at, a.superseded_at))
        FROM device_assignments AS a WHERE a.sensor_device_id = s.id
    ) AS moved_at
FROM uplinks_to_decode AS q
INNER JOIN uplinks AS u ON u.observed_at = q.observed_at AND u.deduplication_id = q.deduplication_id
LEFT JOIN sensor_devices AS s ON s.dev_eui = q.dev_eui
LEFT JOIN display_devices AS d ON d.dev_eui = q.dev_eui
LEFT JOIN device_types AS t ON t.code = coalesce(s.device_type, d.device_type)
CROSS JOIN LATERAL (SELECT coalesce(s.payload_decoder, t.codec, '') AS codec) AS c
WHERE c.codec <> ALL(:held::text[])
    AND (:only::text[] IS NULL OR c.codec = ANY(:only::text[]))
    AND (c.codec NOT LIKE 'js:%' OR EXISTS (SELECT FROM payload_codecs AS p WHERE p.active AND 'js:' || p.name = c.codec))
ORDER BY q.tries, q.received_at
LIMIT :limit;

-- name: of_sensors
-- Uplinks of sensors that wait for their codec. The sensors are locked.
SELECT dev_eui, deduplication_id::text AS deduplication_id, at, received_at FROM uplinks_to_decode
WHERE dev_eui = ANY(:dev_euis::text[]);

-- name: lock
-- Those of the uplinks that still wait, locked: another process may have decoded them. Both arrays have the same order.
SELECT q.deduplication_id::text FROM uplinks_to_decode AS q
INNER JOIN unnest(:observed_at::timestamptz[], :deduplication_ids::uuid[]) AS n (observed_at, deduplication_id)
    ON q.observed_at = n.observed_at AND q.deduplication_id = n.deduplication_id
ORDER BY q.observed_at, q.deduplication_id
FOR UPDATE OF q;

-- name: update_uplinks
-- Writes what the codecs answered. Returns a row without columns for each uplink that had waited.
SELECT FROM json_to_recordset(:rows::json) AS n (
    observed_at timestamptz, deduplication_id text, outcome text, reading jsonb, occupancy text, error text
)
WHERE service_write_decoded(
    n.observed_at, n.deduplication_id::uuid, n.outcome, n.reading, n.occupancy, n.error
);

-- name: delete_decoded
-- Removes uplinks that wait no longer.
DELETE FROM uplinks_to_decode AS q
USING unnest(:observed_at::timestamptz[], :deduplication_ids::uuid[]) AS n (observed_at, deduplication_id)
WHERE q.observed_at = n.observed_at AND q.deduplication_id = n.deduplication_id;

-- name: update_tries
-- Writes how often the codec has failed at uplinks that wait on.
UPDATE uplinks_to_decode AS q SET tries = n.tries
FROM json_to_recordset(:rows::json) AS n (
    observed_at timestamptz, deduplication_id text, tries integer
)
WHERE q.observed_at = n.observed_at AND q.deduplication_id = n.deduplication_id::uuid;

-- name: delete_dropped
-- Removes at most :limit waiting uplinks whose row in `uplinks` is gone with its partition.
DELETE FROM uplinks_to_decode AS q WHERE (q.observed_at, q.deduplication_id) IN (
    SELECT w.observed_at, w.deduplication_id FROM uplinks_to_decode AS w
    WHERE NOT EXISTS (
        SELECT FROM uplinks AS u WHERE u.observed_at = w.observed_at AND u.deduplication_id = w.deduplication_id
    )
    LIMIT :limit
);
