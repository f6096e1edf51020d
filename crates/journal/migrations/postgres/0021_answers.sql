-- What the API has answered under an Idempotency-Key, for a day: the same request gets the same answer. Without a status it is being answered
-- by that process.
CREATE TABLE answers (
    tenant       text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    request_key  bytea NOT NULL CHECK (length(request_key) = 32),    -- SHA-256 of the Idempotency-Key
    request_hash bytea NOT NULL CHECK (length(request_hash) = 32),
    at_ms        bigint NOT NULL,
    writer       text COLLATE "C" NOT NULL,
    epoch        bigint NOT NULL,
    status       bigint CHECK (status BETWEEN 200 AND 599),
    content_type text COLLATE "C" CHECK (length(content_type) <= 100),
    location     text COLLATE "C" CHECK (length(location) <= 200),
    body         text COLLATE "C" CHECK (length(body) <= 262144),
    PRIMARY KEY (tenant, request_key),
    CHECK ((status IS NULL) = (body IS NULL))
);
CREATE INDEX answers_by_age ON answers (at_ms);
