-- name: unmatched
-- Network events of queue items that came before the answer to the enqueue call.
SELECT at, kind, downlink_queue_id AS queue_id, detail, f_cnt_down FROM actuation_events
WHERE downlink_queue_id = ANY(:queue_ids::text[]) AND actuation_id IS NULL
ORDER BY id;

-- name: unmatched_of_display
-- The queue item of the newest tx_ack of a display since :since that belongs to no actuation.
SELECT downlink_queue_id FROM actuation_events
WHERE dev_eui = :dev_eui AND actuation_id IS NULL AND kind = 'tx_ack' AND received_at >= :since
ORDER BY id DESC
LIMIT 1;

-- name: match
-- Gives network events their actuations; both arrays have the same order.
SELECT service_match_events(:queue_ids::text[], :actuation_ids::uuid[]);
