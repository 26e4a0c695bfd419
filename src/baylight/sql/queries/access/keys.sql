-- name: create
-- A new key; its text is never stored.
INSERT INTO api_keys (key_hash, key_prefix, key_name, scopes, is_admin, created_by)
VALUES ($1, $2, $3, $4, 'admin' = ANY ($4::text[]), $5)
RETURNING id, key_prefix, key_name, scopes, created_by, created_at, last_used_at, revoked_at;

-- name: list
-- All keys, the newest first.
SELECT id, key_prefix, key_name, scopes, created_by, created_at, last_used_at, revoked_at
FROM api_keys ORDER BY created_at DESC, id;

-- name: revoke
-- By id or prefix; idempotent: the first revocation's time stays.
UPDATE api_keys SET is_active = false, revoked_at = coalesce(revoked_at, clock_timestamp())
WHERE id::text = $1 OR key_prefix = $1
RETURNING id, key_prefix, key_name, scopes, created_by, created_at, last_used_at, revoked_at;

-- name: secret
-- Key of the keyed hash.
SELECT key_secret FROM installation;

-- name: find
-- A live key by its prefix, with what is needed to verify it.
SELECT
    k.id, k.key_prefix, k.key_name, k.scopes, k.created_by, k.created_at, k.last_used_at, k.revoked_at,
    k.key_hash, i.key_secret, coalesce(k.last_used_at > now() - interval '1 minute', false) AS used_lately
FROM api_keys AS k CROSS JOIN installation AS i
WHERE k.key_prefix = $1 AND k.is_active;

-- name: is_live
-- Whether it has not been revoked.
SELECT is_active FROM api_keys WHERE id = $1;

-- name: used
-- Kept lazily: at most once a minute for each key.
UPDATE api_keys SET last_used_at = now()
WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= now() - interval '1 minute');

-- name: find_by_hash
-- A live key by its whole keyed hash: one of V2's, which have no public part.
SELECT
    k.id, k.key_prefix, k.key_name, k.scopes, k.created_by, k.created_at, k.last_used_at, k.revoked_at,
    coalesce(k.last_used_at > now() - interval '1 minute', false) AS used_lately
FROM api_keys AS k
WHERE k.key_hash = $1 AND k.is_active;

-- name: unconverted
-- Live keys of V2's that nobody has used since: bcrypt hashes.
SELECT id, key_hash FROM api_keys WHERE is_active AND starts_with(key_hash, '$2');

-- name: convert
-- From bcrypt to the keyed hash. $1 id, $2 old hash, $3 new one.
UPDATE api_keys SET key_hash = $3 WHERE id = $1 AND key_hash = $2;
