-- name: read_only
-- True if transactions cannot write by default: on a standby, or by a setting.
SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean;

-- name: copies_differ
-- Invariant 1: spaces whose copy of a DevEUI differs from the device's.
SELECT s.code AS who FROM spaces AS s
LEFT JOIN sensor_devices AS n ON n.id = s.sensor_device_id
LEFT JOIN display_devices AS d ON d.id = s.display_device_id
WHERE s.sensor_deveui IS DISTINCT FROM n.dev_eui OR s.display_deveui IS DISTINCT FROM d.dev_eui
ORDER BY s.code;

-- name: assignments_differ
-- Invariant 2: live spaces whose devices differ from the present assignments.
SELECT s.code || ' (' || r.role || ')' AS who
FROM spaces AS s
CROSS JOIN (VALUES ('sensor'), ('display')) AS r (role)
LEFT JOIN device_assignments AS a
    ON a.space_id = s.id AND a.role = r.role AND a.superseded_at IS NULL AND a.valid @> clock_timestamp()
WHERE a.device_id IS DISTINCT FROM
    CASE WHEN s.deleted_at IS NULL
    THEN CASE r.role WHEN 'sensor' THEN s.sensor_device_id ELSE s.display_device_id END END
ORDER BY who;

-- name: reservations_overlap
-- Invariant 3: spaces with live reservations that overlap.
SELECT DISTINCT s.code AS who
FROM reservations AS a
INNER JOIN reservations AS b ON b.space_id = a.space_id AND b.id > a.id AND b.during && a.during AND b.status = 'active'
INNER JOIN spaces AS s ON s.id = a.space_id
WHERE a.status = 'active' ORDER BY who;

-- name: several_outstanding
-- Invariant 4: displays with more than one command at the network server, or an older one on its way after a newer.
SELECT display_deveui AS who FROM actuations
WHERE status IN ('sending', 'queued') GROUP BY display_deveui HAVING count(*) > 1
UNION
SELECT a.display_deveui FROM actuations AS a
INNER JOIN actuations AS b ON b.display_device_id = a.display_device_id AND b.id > a.id
WHERE a.status = 'pending' AND b.status IN ('sending', 'queued', 'transmitted', 'acknowledged')
ORDER BY who;

-- name: in_sync
-- Displays that count as in sync, with the evidence.
SELECT d.dev_eui, t.codec, coalesce((t.default_config ->> 'reports')::boolean, false) AS reports, d.desired_code,
       d.reported_code, a.status,
       coalesce(greatest(d.others_until, d.unknown_until) > d.reported_at, false) AS contradicted
FROM display_devices AS d
INNER JOIN device_types AS t ON t.code = d.device_type
LEFT JOIN actuations AS a ON a.id = d.commanded_actuation_id
WHERE d.sync_status = 'in_sync' ORDER BY d.dev_eui;

-- name: readings_differ
-- Invariant 6, replay: sensors whose last reading differs from the newest trusted uplink since they came to their place.
SELECT n.dev_eui || ': ' || coalesce(n.occupancy, 'nothing') || ' but the uplinks report ' || coalesce(u.occupancy, 'nothing') AS who
FROM sensor_devices AS n
LEFT JOIN LATERAL (
    SELECT occupancy, received_at FROM uplinks
    WHERE dev_eui = n.dev_eui AND occupancy IS NOT NULL
        AND outcome NOT IN ('stale', 'device_disabled', 'unknown_device')
    ORDER BY received_at DESC LIMIT 1
) AS u ON true
CROSS JOIN LATERAL (
    SELECT greatest(
        (
            SELECT max(greatest(upper(a.valid), a.recorded_at, a.superseded_at))
            FROM device_assignments AS a WHERE a.sensor_device_id = n.id
        ),
        (SELECT max(l.at) FROM audit_log AS l WHERE l.object_type = 'sensor' AND l.object_id = n.id::text)
    ) AS at
) AS forgotten
WHERE n.lifecycle_state <> 'decommissioned'
    AND CASE WHEN n.occupancy IS NULL
        THEN u.occupancy IS NOT NULL AND u.received_at > coalesce(forgotten.at, u.received_at - interval '1 second')
        ELSE n.occupancy IS DISTINCT FROM u.occupancy AND n.occupancy_at > :now::timestamptz - interval '28 days'
            -- The last reading of V2 has no stored uplink.
            AND (u.occupancy IS NOT NULL OR n.heard_network_at IS NOT NULL) END
ORDER BY n.dev_eui;

-- name: causes_missing
-- Invariant 7: state changes of the last week whose cause does not exist.
SELECT s.code || ' at ' || c."timestamp"::timestamptz(0)::text || ' (' || c.source || ')' AS who
FROM state_changes AS c INNER JOIN spaces AS s ON s.id = c.space_id
WHERE c."timestamp" > :now::timestamptz - interval '7 days'
    AND CASE
        WHEN c.source = 'sensor_uplink' AND c.uplink_observed_at IS NOT NULL THEN NOT EXISTS (
            SELECT FROM uplinks AS u
            WHERE u.observed_at = c.uplink_observed_at AND u.deduplication_id::text = c.trigger_source
        )
        WHEN c.source = 'sensor_uplink' THEN true
        WHEN c.source IN ('api_reservation', 'reservation_started') OR (
            c.source = 'reservation_expired' AND c.trigger_source IS NOT NULL
        ) THEN NOT EXISTS (SELECT FROM reservations AS r WHERE r.id::text = c.trigger_source)
        WHEN c.source = 'manual_override' AND c.trigger_source IS NOT NULL
            THEN NOT EXISTS (SELECT FROM overrides AS o WHERE o.id::text = c.trigger_source)
        ELSE false
    END
ORDER BY c.id;

-- name: in_default_partition
-- Invariant 8: rows for which there was no partition.
SELECT 'uplinks: ' || count(*) || ' rows' AS who FROM uplinks_default HAVING count(*) > 0
UNION ALL
SELECT 'actuations: ' || count(*) || ' rows' FROM actuations_default HAVING count(*) > 0;

-- name: partitions_missing
-- Missing partitions of this month and the next.
SELECT parent || to_char(:now::timestamptz + make_interval(months => ahead), '"_y"YYYY"m"MM') AS who
FROM unnest(ARRAY['uplinks', 'actuations']) AS parent CROSS JOIN generate_series(0, 1) AS ahead
WHERE to_regclass(parent || to_char(:now::timestamptz + make_interval(months => ahead), '"_y"YYYY"m"MM')) IS NULL
ORDER BY who;

-- name: misconfigured
-- Displays of live spaces that lack a code, or are disabled.
SELECT
    s.code || ' (' || d.dev_eui || '): '
    || CASE WHEN NOT d.enabled THEN 'disabled' ELSE 'no code for ' || coalesce(d.desired_state, '?') END AS who
FROM display_devices AS d INNER JOIN spaces AS s ON s.display_device_id = d.id AND s.deleted_at IS NULL
WHERE d.sync_status = 'misconfigured' ORDER BY s.code;

-- name: not_showing
-- Displays of live spaces that have a condition, or do not show what they must, with the evidence. Those that cannot be
-- commanded stand in `misconfigured`.
SELECT s.code || ' (' || d.dev_eui || '): ' || coalesce(
    (SELECT string_agg(c.kind || ', ' || c.evidence, '; ' ORDER BY c.since) FROM conditions AS c
    WHERE c.subject_id = d.id::text AND c.ended_at IS NULL),
    d.sync_status
) AS who
FROM display_devices AS d INNER JOIN spaces AS s ON s.display_device_id = d.id AND s.deleted_at IS NULL
WHERE d.sync_status IN ('unreachable', 'drifted')
    OR (d.sync_status <> 'misconfigured' AND EXISTS (
        SELECT FROM conditions AS c WHERE c.subject_id = d.id::text AND c.ended_at IS NULL
    ))
ORDER BY s.code;

-- name: without_uplink
-- Sensors and displays of live spaces from which no uplink has come.
SELECT s.code || ' (sensor ' || n.dev_eui || ')' AS who
FROM sensor_devices AS n INNER JOIN spaces AS s ON s.sensor_device_id = n.id AND s.deleted_at IS NULL
WHERE n.last_seen_at IS NULL
UNION ALL
SELECT s.code || ' (display ' || d.dev_eui || ')'
FROM display_devices AS d INNER JOIN spaces AS s ON s.display_device_id = d.id AND s.deleted_at IS NULL
WHERE d.last_seen_at IS NULL
ORDER BY who;

-- name: silent
-- Spaces that are UNKNOWN because their sensor is silent or damaged.
SELECT s.code || ' (' || s.sensor_deveui || '): ' || s.state_reason AS who
FROM spaces AS s
WHERE s.deleted_at IS NULL AND s.state_reason IN ('sensor_silent', 'sensor_damaged') ORDER BY s.code;

-- name: to_decode
-- Devices with uplinks that have waited for their codec for longer than 30 s.
SELECT dev_eui || ' (' || count(*) || ')' AS who FROM uplinks_to_decode
WHERE received_at < :now::timestamptz - interval '30 seconds' GROUP BY dev_eui ORDER BY min(received_at);

-- name: unproven
-- Spaces whose state may be out of date, with the reason.
SELECT s.code || ': ' || s.unproven_reason AS who
FROM spaces AS s
WHERE s.deleted_at IS NULL AND s.unproven_reason IS NOT NULL ORDER BY s.code;

-- name: sensors_wrong
-- Conditions of sensors that last, oldest first.
SELECT n.dev_eui || ' ' || c.kind || ' since ' || to_char(c.since, 'YYYY-MM-DD HH24:MI:SS') || ' UTC: ' || c.evidence AS who
FROM conditions AS c INNER JOIN sensor_devices AS n ON n.id::text = c.subject_id
WHERE c.ended_at IS NULL ORDER BY c.since, n.dev_eui;

-- name: unknown_devices
-- DevEUIs with an uplink or a join in the last day that are neither registered nor ignored.
SELECT format(
    '%s (%s %s)', o.dev_eui, greatest(o.uplinks, o.joins), CASE WHEN o.uplinks >= o.joins THEN 'uplinks' ELSE 'joins' END
) AS who FROM orphans AS o
WHERE NOT o.ignored AND o.last_at > :now::timestamptz - interval '1 day'
    AND NOT EXISTS (SELECT FROM sensor_devices AS s WHERE s.dev_eui = o.dev_eui)
    AND NOT EXISTS (SELECT FROM display_devices AS d WHERE d.dev_eui = o.dev_eui)
ORDER BY o.uplinks DESC, o.dev_eui;

-- name: rejected
-- Unreadable messages of the last day.
SELECT reason || ': ' || sum(times) || ' (' || min(topic) || ')' AS who FROM rejected_messages
WHERE last_at > :now::timestamptz - interval '1 day' GROUP BY reason ORDER BY sum(times) DESC;

-- name: error_ratio
-- Number of uplinks of the last day, and of those of known devices that could not be decoded. The devices of which at
-- least half could not, the most failures first.
WITH of_device AS (
    SELECT dev_eui, count(*) AS uplinks, count(*) FILTER (WHERE outcome = 'not_decodable') AS failed FROM uplinks
    WHERE received_at > :now::timestamptz - interval '1 day' AND observed_at > :now::timestamptz - interval '2 days'
    GROUP BY dev_eui
)

SELECT
    coalesce(sum(uplinks), 0)::bigint AS uplinks, coalesce(sum(failed), 0)::bigint AS failed,
    coalesce(array_agg(dev_eui ORDER BY failed DESC, dev_eui) FILTER (WHERE failed > 0 AND failed * 2 >= uplinks), '{}') AS devices
FROM of_device;

-- name: batteries_low
-- Devices in use whose last known battery is below 2.7 V or 20 %.
WITH device AS (
    SELECT dev_eui, lifecycle_state, battery_v, battery_pct FROM sensor_devices
    UNION ALL
    SELECT dev_eui, lifecycle_state, battery_v, battery_pct FROM display_devices
)

SELECT
    dev_eui || ' (' || concat_ws(', ', round(battery_v::numeric, 2) || ' V', round(battery_pct::numeric) || ' %') || ')' AS who
FROM device
WHERE lifecycle_state <> 'decommissioned' AND (battery_v < 2.7 OR battery_pct < 20)
ORDER BY coalesce(battery_v, 2.7 * battery_pct / 20), dev_eui;

-- name: signal_bad
-- Devices in use whose last uplink and whose newest 20 uplinks (median) have a lower signal than their type needs; without
-- such a need, an SNR below -10 dB, at which not even spreading factor 12 has a margin of 10 dB.
WITH device AS (
    SELECT dev_eui, device_type, lifecycle_state, snr_db, rssi_dbm FROM sensor_devices
    UNION ALL
    SELECT dev_eui, device_type, lifecycle_state, snr_db, rssi_dbm FROM display_devices
),
suspected AS (
    SELECT
        d.dev_eui, coalesce((t.capabilities ->> 'min_snr_db')::real, -10) AS min_snr_db,
        (t.capabilities ->> 'min_rssi_dbm')::real AS min_rssi_dbm
    FROM device AS d INNER JOIN device_types AS t ON t.code = d.device_type
    WHERE d.lifecycle_state <> 'decommissioned'
        AND (
            d.snr_db < coalesce((t.capabilities ->> 'min_snr_db')::real, -10)
            OR d.rssi_dbm < (t.capabilities ->> 'min_rssi_dbm')::real
        )
)

SELECT s.dev_eui || ' (SNR ' || round(m.snr_db::numeric, 1) || ' dB, ' || round(m.rssi_dbm::numeric) || ' dBm)' AS who
FROM suspected AS s
CROSS JOIN LATERAL (
    SELECT
        percentile_cont(0.5) WITHIN GROUP (ORDER BY newest.snr_db) AS snr_db,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(newest.rssi_dbm, 0)) AS rssi_dbm
    FROM (
        SELECT u.snr_db, u.rssi_dbm FROM uplinks AS u
        WHERE u.dev_eui = s.dev_eui AND u.snr_db IS NOT NULL ORDER BY u.received_at DESC LIMIT 20
    ) AS newest
) AS m
WHERE m.snr_db < s.min_snr_db OR m.rssi_dbm < s.min_rssi_dbm
ORDER BY m.snr_db, s.dev_eui;

-- name: overdue
-- Work that is overdue by more than a minute.
SELECT 'decisions: ' || count(*) AS who FROM spaces
WHERE deleted_at IS NULL AND recompute_at < :now::timestamptz - interval '1 minute' HAVING count(*) > 0
UNION ALL
SELECT 'downlinks: ' || count(*) FROM actuations
WHERE status = 'pending' AND coalesce(next_attempt_at, created_at) < :now::timestamptz - interval '2 minutes' HAVING count(*) > 0
UNION ALL
SELECT 'reservations: ' || count(*) FROM reservations
WHERE status = 'active' AND end_time < :now::timestamptz - interval '1 minute' HAVING count(*) > 0;

-- name: gateways_wrong
-- Conditions of gateways that last, but for used airtime, oldest first.
SELECT subject_id || ' ' || kind || ' since ' || to_char(since, 'YYYY-MM-DD HH24:MI:SS') || ' UTC: ' || evidence AS who
FROM conditions
WHERE ended_at IS NULL AND kind IN ('gateway_refuses', 'gateway_no_ack')
ORDER BY since, kind, subject_id;

-- name: class_c
-- Displays behind ChirpStack; and of at most :limit commands of theirs in the last day, their number and the median of
-- the seconds from queued to tx_ack.
SELECT (
    SELECT count(*) FROM display_devices
    WHERE network_server = 'chirpstack' AND enabled AND lifecycle_state <> 'decommissioned'
) AS displays, count(*) AS commands,
percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(extract(epoch FROM c.transmitted_at - c.sent_at), 0)) AS median_s
FROM (
    SELECT a.sent_at, a.transmitted_at
    FROM actuations AS a INNER JOIN display_devices AS d ON d.id = a.display_device_id
    WHERE a.id >= uuid7_floor(:now::timestamptz - interval '1 day') AND a.sent_at IS NOT NULL
        AND a.transmitted_at IS NOT NULL AND d.network_server = 'chirpstack'
    ORDER BY a.id DESC
    LIMIT :limit
) AS c;
