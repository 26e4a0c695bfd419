-- name: insert
-- A device type of the operator's own. Inserts no row if the code is used.
INSERT INTO device_types (
    code, manufacturer, model, dev_eui_prefixes, uplink_interval_s, silent_after_intervals, category, codec, default_config
)
VALUES (
    :code, :manufacturer, :model, :dev_eui_prefixes, :uplink_interval_s, :silent_after_intervals, :category, :codec,
    :default_config
)
ON CONFLICT (code) DO NOTHING;
