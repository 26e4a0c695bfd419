CREATE VIEW displays_behind_gateways AS
SELECT d.id, coalesce(d.gateway_id, '') AS gateway_id
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
WHERE d.network_server = 'chirpstack'
    AND (t.capabilities ->> 'class') IS DISTINCT FROM 'A'
    AND NOT EXISTS (
        SELECT FROM conditions AS c
        WHERE c.ended_at IS NULL AND c.subject_id = d.id::text
            AND c.kind IN ('display_disabled', 'display_not_class_c', 'display_waits_for_uplink')
    );
COMMENT ON VIEW displays_behind_gateways IS
'displays whose commands their gateway must acknowledge soon. Left out: displays to which the network server sends nothing'
' yet, and The Things Stack, which names no gateway in its acknowledgements';
COMMENT ON COLUMN displays_behind_gateways.gateway_id IS
'gateway of the newest uplink of the display; empty: none has come';
