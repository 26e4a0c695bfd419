-- name: try_lock
-- Locks a key of an API key until the transaction ends. False: another transaction has it.
SELECT pg_try_advisory_xact_lock(hashtextextended(:api_key_id::uuid::text || ' ' || :idempotency_key, 22));

-- name: find
-- The answer to a key of an API key that was kept after an instant.
SELECT fingerprint, status, body FROM kept_answers
WHERE api_key_id = :api_key_id AND idempotency_key = :idempotency_key AND kept_at > :since;

-- name: keep
-- Keeps an answer, in place of one that is too old.
INSERT INTO kept_answers (api_key_id, idempotency_key, fingerprint, status, body, kept_at)
VALUES (:api_key_id, :idempotency_key, :fingerprint, :status, :body, :now)
ON CONFLICT (api_key_id, idempotency_key) DO UPDATE
SET fingerprint = excluded.fingerprint, status = excluded.status, body = excluded.body, kept_at = excluded.kept_at;
