-- Customers who are called: which payment, which number, and what became of it.
CREATE TABLE calls (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant        TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    payment       TEXT    NOT NULL REFERENCES payments (id),
    number        TEXT    NOT NULL CHECK (length(number) BETWEEN 1 AND 24),
    first         TEXT    NOT NULL CHECK (first IN ('customer', 'operator')),
    result        TEXT    CHECK (length(result) BETWEEN 1 AND 64),
    request_key   BLOB    CHECK (length(request_key) = 32),    -- SHA-256 of the Idempotency-Key
    request_hash  BLOB    CHECK (length(request_hash) = 32),   -- SHA-256 of what was asked under it
    created_ms    INTEGER NOT NULL,
    ended_ms      INTEGER,
    CHECK ((result IS NULL) = (ended_ms IS NULL)),
    CHECK ((request_key IS NULL) = (request_hash IS NULL))
) STRICT;

CREATE UNIQUE INDEX calls_one_of_a_payment ON calls (payment) WHERE ended_ms IS NULL;
CREATE UNIQUE INDEX calls_of_a_request ON calls (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX calls_on ON calls (tenant) WHERE ended_ms IS NULL;
