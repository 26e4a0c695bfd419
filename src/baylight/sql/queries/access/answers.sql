-- name: try_lock
-- Locks a key of an API key until the transaction ends. False: another transaction has it.
SELECT pg_try_advisory_xact_lock(hashtextextended(:api_key_id::uuid::text || ' ' || :idempotency_key, 22));

-- name: find
-- The answer to a key of an API key that was kept after an instant.
SELECT fingerprint, status, body FROM kept_answers
WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key AND kept_at > :since;

-- name: oldest_of_many
-- The time of the oldest answer of an API key that was kept after an instant. No row if there are fewer than :limit.
SELECT min(kept_at) AS oldest_at FROM (
    SELECT kept_at FROM kept_answers WHERE api_key_id = :api_key_id AND kept_at > :since LIMIT :limit
) AS kept
HAVING count(*) >= :limit;

-- name: keep
-- Keeps an answer, in place of one that is too old.
INSERT INTO kept_answers (api_key_id, idempotency_key, fingerprint, status, body, kept_at)
VALUES (:api_key_id, :idempotency_key, :fingerprint, :status, :body, :now)
ON CONFLICT (api_key_id, idempotency_key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, kept_at = excluded.kept_at;
