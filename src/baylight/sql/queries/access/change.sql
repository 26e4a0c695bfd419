-- name: set_actor
-- Who makes the change and why, for the triggers that write history; until the end of the transaction.
SELECT set_config('baylight.actor', :actor, true), set_config('baylight.reason', :reason, true),
    set_config('baylight.assignment_reason', :assignment_reason, true);

-- name: record
-- One administrative change.
INSERT INTO audit_log (actor, action, object_type, object_id, before, after, request_id)
VALUES (:actor, :action, :object_type, :object_id, :before, :after, :request_id);
