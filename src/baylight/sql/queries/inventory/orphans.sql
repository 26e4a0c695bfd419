-- name: hear
-- Notes unknown devices, one row each; columns in the order of the arrays. $15 hour, $16 most devices: beyond, new ones
-- leave no trace. Returns those with a row.
INSERT INTO orphans AS o (
    dev_eui, uplinks, uplinks_in_hour, first_at, last_at, hour_at, network_server, application_id, device_name,
    profile_name, dev_addr, gateway_id, rssi_dbm, snr_db, f_port, data
)
SELECT n.dev_eui, n.uplinks, n.uplinks, n.first_at, n.last_at, $15, n.network_server, n.application_id, n.device_name,
       n.profile_name, n.dev_addr, n.gateway_id, n.rssi_dbm, n.snr_db, n.f_port, n.data
FROM unnest(
    $1::text[], $2::integer[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::smallint[], $12::real[], $13::smallint[], $14::bytea[]
) AS n (
    dev_eui, uplinks, first_at, last_at, network_server, application_id, device_name, profile_name, dev_addr,
    gateway_id, rssi_dbm, snr_db, f_port, data
)
WHERE EXISTS (SELECT FROM orphans AS k WHERE k.dev_eui = n.dev_eui) OR (SELECT count(*) FROM orphans) < $16
ORDER BY n.dev_eui
ON CONFLICT (dev_eui) DO UPDATE
SET uplinks = o.uplinks + excluded.uplinks, last_at = greatest(o.last_at, excluded.last_at),
    uplinks_in_hour = excluded.uplinks + CASE WHEN o.hour_at = excluded.hour_at THEN o.uplinks_in_hour ELSE 0 END,
    hour_at = excluded.hour_at, network_server = excluded.network_server,
    application_id = coalesce(excluded.application_id, o.application_id),
    device_name = coalesce(excluded.device_name, o.device_name),
    profile_name = coalesce(excluded.profile_name, o.profile_name), dev_addr = excluded.dev_addr,
    gateway_id = coalesce(excluded.gateway_id, o.gateway_id), rssi_dbm = coalesce(excluded.rssi_dbm, o.rssi_dbm),
    snr_db = coalesce(excluded.snr_db, o.snr_db),
    f_port = CASE WHEN excluded.data IS NULL THEN o.f_port ELSE excluded.f_port END,
    data = coalesce(excluded.data, o.data)
RETURNING dev_eui, uplinks_in_hour, ignored;

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
