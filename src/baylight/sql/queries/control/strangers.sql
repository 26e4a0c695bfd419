-- name: update
-- Inserts or updates unknown devices, one row each; all arrays have the same order. Beyond :max_devices, new devices
-- get no row, and a registered device gets none for a join. Joins count if one is newer than the last one. Returns the
-- devices that have a row.
INSERT INTO orphans AS o (
    dev_eui, uplinks, uplinks_in_hour, joins, first_at, last_at, first_join_at, last_join_at, hour_at, network_server,
    application_id, device_name, profile_name, dev_addr, gateway_id, rssi_dbm, snr_db, f_port, data
)
SELECT n.dev_eui, n.uplinks, n.uplinks, n.joins, n.first_at, n.last_at, n.first_join_at, n.last_join_at, :hour,
       n.network_server, n.application_id, n.device_name, n.profile_name, n.dev_addr, n.gateway_id, n.rssi_dbm, n.snr_db,
       n.f_port, n.data
FROM unnest(
    :dev_euis::text[], :uplinks::integer[], :joins::integer[], :first_at::timestamptz[], :last_at::timestamptz[],
    :first_join_at::timestamptz[], :last_join_at::timestamptz[], :network_servers::text[], :application_ids::text[],
    :device_names::text[], :profile_names::text[], :dev_addrs::text[], :gateway_ids::text[], :rssi_dbm::smallint[],
    :snr_db::real[], :f_ports::smallint[], :datas::bytea[]
) AS n (
    dev_eui, uplinks, joins, first_at, last_at, first_join_at, last_join_at, network_server, application_id,
    device_name, profile_name, dev_addr, gateway_id, rssi_dbm, snr_db, f_port, data
)
WHERE (EXISTS (SELECT FROM orphans AS k WHERE k.dev_eui = n.dev_eui) OR (SELECT count(*) FROM orphans) < :max_devices)
    AND (n.uplinks > 0 OR (
        NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = n.dev_eui)
        AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = n.dev_eui)
    ))
ORDER BY n.dev_eui
ON CONFLICT (dev_eui) DO UPDATE
SET uplinks = o.uplinks + excluded.uplinks,
    joins = o.joins + CASE
        WHEN o.last_join_at IS NULL OR excluded.last_join_at > o.last_join_at THEN excluded.joins ELSE 0
    END,
    first_join_at = least(o.first_join_at, excluded.first_join_at),
    last_join_at = greatest(o.last_join_at, excluded.last_join_at),
    first_at = least(o.first_at, excluded.first_at), last_at = greatest(o.last_at, excluded.last_at),
    uplinks_in_hour = excluded.uplinks + CASE WHEN o.hour_at = excluded.hour_at THEN o.uplinks_in_hour ELSE 0 END,
    hour_at = excluded.hour_at, network_server = excluded.network_server,
    application_id = coalesce(excluded.application_id, o.application_id),
    device_name = coalesce(excluded.device_name, o.device_name),
    profile_name = coalesce(excluded.profile_name, o.profile_name),
    dev_addr = CASE WHEN excluded.uplinks > 0 THEN excluded.dev_addr ELSE coalesce(excluded.dev_addr, o.dev_addr) END,
    gateway_id = coalesce(excluded.gateway_id, o.gateway_id), rssi_dbm = coalesce(excluded.rssi_dbm, o.rssi_dbm),
    snr_db = coalesce(excluded.snr_db, o.snr_db),
    f_port = CASE WHEN excluded.data IS NULL THEN o.f_port ELSE excluded.f_port END,
    data = coalesce(excluded.data, o.data)
RETURNING dev_eui, uplinks_in_hour, ignored;
