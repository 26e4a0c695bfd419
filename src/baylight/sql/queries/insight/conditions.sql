-- name: list
-- Conditions that last, oldest first, after the one with the id :after: of the kinds :kinds, of the subject :subject (a DevEUI, the
-- id of a gateway, the name of a service, the code of a space) and of the ids :subject_ids; null: of all. With the DevEUI
-- of the device, if the kind is one of :sensor_kinds or :display_kinds, and the spaces that it serves.
SELECT c.id, c.kind, c.subject_id, coalesce(n.dev_eui, d.dev_eui, c.subject_id) AS name, served.spaces, c.since, c.evidence,
    CASE WHEN c.cause_kind IS NOT NULL THEN json_build_object('kind', c.cause_kind, 'subject_id', c.cause_id) END AS cause
FROM conditions AS c
CROSS JOIN LATERAL (
    -- The ids of gateways and services are no UUIDs.
    SELECT CASE WHEN c.subject_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN c.subject_id::uuid END AS id
) AS device
LEFT JOIN sensor_devices AS n ON n.id = device.id AND c.kind = ANY(:sensor_kinds::text[])
LEFT JOIN display_devices AS d ON d.id = device.id AND c.kind = ANY(:display_kinds::text[])
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(s.code ORDER BY s.code), '{}') AS spaces FROM spaces AS s
    WHERE s.deleted_at IS NULL AND (s.sensor_device_id = n.id OR s.display_device_id = d.id)
) AS served
WHERE c.ended_at IS NULL
    AND (:kinds::text[] IS NULL OR c.kind = ANY(:kinds::text[]))
    AND (:subject_ids::text[] IS NULL OR c.subject_id = ANY(:subject_ids::text[]))
    AND (
        :subject::text IS NULL OR :subject IN (c.subject_id, n.dev_eui, d.dev_eui) OR :subject = ANY(served.spaces)
    )
    AND (:after::uuid IS NULL OR (c.since, c.id) > (SELECT a.since, a.id FROM conditions AS a WHERE a.id = :after))
ORDER BY c.since, c.id
LIMIT :limit;
