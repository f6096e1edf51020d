-- What the API has answered under an Idempotency-Key, for a day: the same request gets the same answer. Without a status it is being answered
-- by that process.
CREATE TABLE answers (
    tenant       TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    request_key  BLOB    NOT NULL CHECK (length(request_key) = 32),    -- SHA-256 of the Idempotency-Key
    request_hash BLOB    NOT NULL CHECK (length(request_hash) = 32),
    at_ms        INTEGER NOT NULL,
    writer       TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    status       INTEGER CHECK (status BETWEEN 200 AND 599),
    content_type TEXT    CHECK (length(content_type) <= 100),
    location     TEXT    CHECK (length(location) <= 200),
    body         TEXT    CHECK (length(body) <= 262144),
    PRIMARY KEY (tenant, request_key),
    CHECK ((status IS NULL) = (body IS NULL))
) STRICT;
CREATE INDEX answers_by_age ON answers (at_ms);
