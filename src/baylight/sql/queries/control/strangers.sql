-- name: update
-- Inserts or updates unknown devices, one row each; all arrays have the same order. Beyond :max_devices, new devices
-- get no row. Returns the devices that have one.
INSERT INTO orphans AS o (
    dev_eui, uplinks, uplinks_in_hour, first_at, last_at, hour_at, network_server, application_id, device_name,
    profile_name, dev_addr, gateway_id, rssi_dbm, snr_db, f_port, data
)
SELECT n.dev_eui, n.uplinks, n.uplinks, n.first_at, n.last_at, :hour, n.network_server, n.application_id, n.device_name,
       n.profile_name, n.dev_addr, n.gateway_id, n.rssi_dbm, n.snr_db, n.f_port, n.data
FROM unnest(
    :dev_euis::text[], :uplinks::integer[], :first_at::timestamptz[], :last_at::timestamptz[], :network_servers::text[],
    :application_ids::text[], :device_names::text[], :profile_names::text[], :dev_addrs::text[], :gateway_ids::text[],
    :rssi_dbm::smallint[], :snr_db::real[], :f_ports::smallint[], :datas::bytea[]
) AS n (
    dev_eui, uplinks, first_at, last_at, network_server, application_id, device_name, profile_name, dev_addr,
    gateway_id, rssi_dbm, snr_db, f_port, data
)
WHERE EXISTS (SELECT FROM orphans AS k WHERE k.dev_eui = n.dev_eui) OR (SELECT count(*) FROM orphans) < :max_devices
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
