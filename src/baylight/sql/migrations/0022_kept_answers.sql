-- Answers to requests with an Idempotency-Key: a repeated request is answered by them, and changes nothing.

CREATE TABLE kept_answers (
    api_key_id uuid NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    body bytea,
    kept_at timestamptz NOT NULL,
    PRIMARY KEY (api_key_id, idempotency_key),
    CONSTRAINT kept_answers_key CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT kept_answers_body CHECK (length(body) <= 65536)
);
COMMENT ON COLUMN kept_answers.fingerprint IS 'hash of method, path, query and body of the request';
COMMENT ON COLUMN kept_answers.body IS 'null: it is too large, or holds a secret';
CREATE INDEX kept_answers_kept_at ON kept_answers (kept_at);
