-- name: set_actor
-- Who does it and why, for the triggers that write history; until the end of the transaction.
SELECT set_config('baylight.actor', $1, true), set_config('baylight.reason', $2, true),
    set_config('baylight.assignment_reason', $3, true);

-- name: record
-- One administrative change.
INSERT INTO audit_log (actor, action, object_type, object_id, before, after, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7);
