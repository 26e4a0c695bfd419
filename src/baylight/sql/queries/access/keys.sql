-- name: create
-- A new key; its text is never stored.
INSERT INTO api_keys (key_hash, key_prefix, key_name, scopes, is_admin, created_by, expires_at)
VALUES (:hash, :prefix, :name, :scopes, 'admin' = ANY (:scopes::text []), :created_by, :expires_at)
RETURNING id, key_prefix AS prefix, key_name AS name, scopes, created_by, created_at, last_used_at, revoked_at,
    expires_at;

-- name: list
-- All keys, the newest first.
SELECT id, key_prefix AS prefix, key_name AS name, scopes, created_by, created_at, last_used_at, revoked_at,
    expires_at
FROM api_keys ORDER BY created_at DESC, id;

-- name: revoke
-- Revokes a key by its id or prefix. A repeated call keeps the time of the first one.
UPDATE api_keys SET is_active = false, revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE id::text = :id_or_prefix OR key_prefix = :id_or_prefix
RETURNING id, key_prefix AS prefix, key_name AS name, scopes, created_by, created_at, last_used_at, revoked_at,
    expires_at;

-- name: secret
-- The secret of the keyed hash.
SELECT key_secret FROM installation;

-- name: find_by_prefix
-- A live key, with what verifies it.
SELECT
    k.id, k.key_prefix AS prefix, k.key_name AS name, k.scopes, k.created_by, k.created_at, k.last_used_at, k.revoked_at,
    k.expires_at, k.key_hash, i.key_secret, coalesce(k.last_used_at > now() - interval '1 minute', false) AS used_lately
FROM api_keys AS k CROSS JOIN installation AS i
WHERE k.key_prefix = :prefix AND k.is_active AND coalesce(k.expires_at > now(), true);

-- name: find_by_hash
-- A live key by its whole keyed hash: V2's keys have no public part.
SELECT
    k.id, k.key_prefix AS prefix, k.key_name AS name, k.scopes, k.created_by, k.created_at, k.last_used_at, k.revoked_at,
    k.expires_at, k.key_hash, i.key_secret, coalesce(k.last_used_at > now() - interval '1 minute', false) AS used_lately
FROM api_keys AS k CROSS JOIN installation AS i
WHERE k.key_hash = :hash AND k.is_active AND coalesce(k.expires_at > now(), true);

-- name: is_live
-- False for a key that is revoked or expired.
SELECT is_active AND coalesce(expires_at > now(), true) FROM api_keys WHERE id = :id;

-- name: record_use
-- Stores the time of use, at most once a minute for each key.
UPDATE api_keys SET last_used_at = now()
WHERE id = :id AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute');

-- name: list_bcrypt
-- Live keys of V2's that have not been used since the migration: bcrypt hashes.
SELECT id, key_hash FROM api_keys WHERE is_active AND coalesce(expires_at > now(), true) AND starts_with(key_hash, '$2');

-- name: convert
-- Replaces a bcrypt hash by the keyed hash.
UPDATE api_keys SET key_hash = :new_hash WHERE id = :id AND key_hash = :old_hash;
