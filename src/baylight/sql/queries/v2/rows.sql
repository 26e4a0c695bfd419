-- Each finding lists at most 20 rows, and counts all of them. EUIs are checked without a regular expression, since
-- one would need several times as long. V2's database has no function of ours yet.

-- name: bad_eui
-- EUIs that are empty, short, or not hex.
SELECT l.id::text, concat_ws(' ', l.code, CASE WHEN NOT e.sensor_ok THEN 'sensor ' || quote_literal(l.sensor_eui) END,
                             CASE WHEN NOT e.display_ok THEN 'display ' || quote_literal(l.display_eui) END) AS detail,
       count(*) OVER () AS total
FROM public.spaces AS l
CROSS JOIN LATERAL (
    SELECT length(l.sensor_eui) = 16 AND translate(l.sensor_eui, '0123456789abcdefABCDEF', '') = '' AS sensor_ok,
           length(l.display_eui) = 16 AND translate(l.display_eui, '0123456789abcdefABCDEF', '') = '' AS display_ok
) AS e
WHERE NOT e.sensor_ok OR NOT e.display_ok
LIMIT 20;

-- name: contested_sensor
-- Sensors on several live spaces, since V2 distinguishes EUIs by case.
SELECT string_agg(id::text, ' ' ORDER BY created_at, id) AS id,
       lower(sensor_eui) || ' on ' || string_agg(code, ', ' ORDER BY created_at, id) AS detail,
       count(*) OVER () AS total
FROM public.spaces
WHERE deleted_at IS NULL AND length(sensor_eui) = 16 AND translate(sensor_eui, '0123456789abcdefABCDEF', '') = ''
GROUP BY lower(sensor_eui) HAVING count(*) > 1
LIMIT 20;

-- name: both_roles
-- EUIs that are the sensor of one space and the display of another.
SELECT string_agg(id::text, ' ' ORDER BY role DESC, code) AS id,
       eui || ': ' || string_agg(role || ' of ' || code, ', ' ORDER BY role DESC, code) AS detail,
       count(*) OVER () AS total
FROM (
    SELECT lower(sensor_eui) AS eui, 'sensor' AS role, id, code FROM public.spaces WHERE deleted_at IS NULL
    UNION ALL
    SELECT lower(display_eui), 'display', id, code FROM public.spaces WHERE deleted_at IS NULL
) AS uses
WHERE eui IN (
    SELECT lower(sensor_eui) FROM public.spaces
    WHERE deleted_at IS NULL AND length(sensor_eui) = 16 AND translate(sensor_eui, '0123456789abcdefABCDEF', '') = ''
    INTERSECT
    SELECT lower(display_eui) FROM public.spaces
    WHERE deleted_at IS NULL AND length(display_eui) = 16 AND translate(display_eui, '0123456789abcdefABCDEF', '') = ''
)
GROUP BY eui
LIMIT 20;

-- name: shared_display
-- Displays on several live spaces.
SELECT string_agg(id::text, ' ' ORDER BY code) AS id,
       lower(display_eui) || ' on ' || string_agg(code, ', ' ORDER BY code) AS detail,
       count(*) OVER () AS total
FROM public.spaces
WHERE deleted_at IS NULL AND length(display_eui) = 16 AND translate(display_eui, '0123456789abcdefABCDEF', '') = ''
GROUP BY lower(display_eui) HAVING count(*) > 1
LIMIT 20;

-- name: deleted_space
-- Devices that deleted spaces still hold.
SELECT id::text, code || ': ' || concat_ws(', ', 'sensor ' || sensor_eui, 'display ' || display_eui) AS detail,
       count(*) OVER () AS total
FROM public.spaces WHERE deleted_at IS NOT NULL AND coalesce(sensor_eui, display_eui) IS NOT NULL
LIMIT 20;

-- name: half_position
-- Spaces with a latitude and no longitude, or the other way round.
SELECT id::text, code AS detail, count(*) OVER () AS total
FROM public.spaces WHERE (gps_latitude IS NULL) <> (gps_longitude IS NULL)
LIMIT 20;

-- name: overlap
-- Active reservations of a space that overlap one that was created before them.
SELECT b.id::text, 'overlaps ' || a.id || ' on space ' || a.space_id AS detail, count(*) OVER () AS total
FROM public.reservations AS a
INNER JOIN public.reservations AS b
    ON b.space_id = a.space_id AND (b.created_at, b.id) > (a.created_at, a.id)
    AND b.start_time < a.end_time AND b.end_time > a.start_time
WHERE a.status = 'active' AND b.status = 'active'
LIMIT 20;

-- name: empty_name
-- Spaces whose building, floor or zone is the empty text.
SELECT id::text, code AS detail, count(*) OVER () AS total
FROM public.spaces WHERE building = '' OR floor = '' OR zone = ''
LIMIT 20;

-- name: strange_state
-- Spaces with a state that is not in V2's own list.
SELECT id::text, code || ': ' || state AS detail, count(*) OVER () AS total FROM public.spaces
WHERE state NOT IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE')
LIMIT 20;

-- name: strange_history
-- States in the history that are not in V2's own list. They are carried over as they are.
SELECT id::text, new_state AS detail, count(*) OVER () AS total FROM public.state_changes
WHERE new_state NOT IN ('FREE', 'OCCUPIED', 'RESERVED', 'MAINTENANCE')
LIMIT 20;

-- name: closed_by_hand
-- Live spaces that people closed.
SELECT id::text, code AS detail, count(*) OVER () AS total FROM public.spaces
WHERE state = 'MAINTENANCE' AND deleted_at IS NULL
ORDER BY code LIMIT 20;

-- name: reserved_by_hand
-- Live spaces that are reserved, and that have no active reservation now. One that has ended since the space was written
-- is still active: V2's timers have yet to end it.
SELECT l.id::text, l.code AS detail, count(*) OVER () AS total FROM public.spaces AS l
WHERE l.state = 'RESERVED' AND l.deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM public.reservations AS r
    WHERE r.space_id = l.id AND r.status = 'active' AND r.start_time <= now()
      AND r.end_time > least(l.updated_at, now()))
ORDER BY l.code LIMIT 20;

-- name: untyped
-- Sensors whose EUI does not show their type.
SELECT id::text, code || ': ' || sensor_eui AS detail, count(*) OVER () AS total FROM public.spaces
WHERE deleted_at IS NULL AND length(sensor_eui) = 16 AND translate(sensor_eui, '0123456789abcdefABCDEF', '') = ''
  AND NOT starts_with(lower(sensor_eui), '58a0cb')
LIMIT 20;

-- name: ids_run_out
-- The highest id of the history, if it leaves no room for Baylight's, which begin 10^9 above V2's.
SELECT max(id)::text AS id, 'is too near to 2^63: give this state change another id' AS detail, 1::bigint AS total
FROM public.state_changes
HAVING max(id) > 9000000000000000000;

-- name: sizes
-- Rows and bytes of V2's tables. The number of rows is estimated if PostgreSQL has an estimate.
SELECT c.relname AS "table", CASE
           WHEN c.reltuples >= 0 THEN c.reltuples::bigint  -- else PostgreSQL has no estimate yet
           WHEN c.relname = 'spaces' THEN (SELECT count(*) FROM public.spaces)
           WHEN c.relname = 'reservations' THEN (SELECT count(*) FROM public.reservations)
           WHEN c.relname = 'sensor_readings' THEN (SELECT count(*) FROM public.sensor_readings)
           WHEN c.relname = 'state_changes' THEN (SELECT count(*) FROM public.state_changes)
           ELSE (SELECT count(*) FROM public.api_keys)
       END AS rows, pg_total_relation_size(c.oid) AS bytes
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname IN ('spaces', 'reservations', 'sensor_readings', 'state_changes', 'api_keys')
ORDER BY c.relname;

-- name: count_displays
-- Number of V2's spaces that have a display.
SELECT count(*) AS displays FROM public.spaces WHERE display_eui <> '';
