-- name: list
-- Unknown devices by DevEUI: one ($1), or a page after $2 of at most $4; those that are ignored ($3 true) or not.
-- With a few of the frames that were kept of each.
SELECT
    o.dev_eui, o.uplinks, o.first_at, o.last_at, o.network_server, o.application_id, o.device_name, o.profile_name,
    o.dev_addr, o.gateway_id, o.rssi_dbm, o.snr_db, o.f_port, encode(o.data, 'hex') AS data, o.ignored,
    frames.f_ports, frames.datas
FROM orphans AS o
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(u.f_port), '{}') AS f_ports, coalesce(array_agg(u.data), '{}') AS datas
    FROM (
        SELECT f_port, data FROM uplinks
        WHERE dev_eui = o.dev_eui AND received_at >= o.first_at AND data <> ''
        ORDER BY received_at DESC
        LIMIT 5
    ) AS u
) AS frames
WHERE ($1::text IS NULL OR o.dev_eui = $1) AND ($2::text IS NULL OR o.dev_eui > $2)
    AND ($3::boolean IS NULL OR o.ignored = $3)
    AND NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = o.dev_eui)
    AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = o.dev_eui)
ORDER BY o.dev_eui
LIMIT $4;

-- name: lock
-- One, until the end of the transaction.
SELECT ignored FROM orphans WHERE dev_eui = $1 FOR UPDATE;

-- name: set_ignored
-- $2 true: it is counted and no more.
UPDATE orphans SET ignored = $2 WHERE dev_eui = $1;

-- name: adopt_sensor
-- What was heard of it, for its new row in the registry.
UPDATE sensor_devices AS s
SET last_seen_at = o.last_at, rssi_dbm = o.rssi_dbm, snr_db = o.snr_db, gateway_id = o.gateway_id,
    network_server = o.network_server, application_id = o.application_id
FROM orphans AS o
WHERE s.dev_eui = $1 AND o.dev_eui = $1 AND s.last_seen_at IS NULL;

-- name: adopt_display
-- What was heard of it, for its new row in the registry.
UPDATE display_devices AS d
SET last_seen_at = o.last_at, rssi_dbm = o.rssi_dbm, snr_db = o.snr_db, gateway_id = o.gateway_id,
    network_server = o.network_server, application_id = o.application_id
FROM orphans AS o
WHERE d.dev_eui = $1 AND o.dev_eui = $1 AND d.last_seen_at IS NULL;

-- name: delete
-- It is registered.
DELETE FROM orphans WHERE dev_eui = $1;
