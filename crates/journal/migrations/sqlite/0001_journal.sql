-- The journal of payments. Times are UTC milliseconds, amounts minor units (ISO 4217), ids UUIDs as text.
--
-- No column is for card data but `brand` and `last4` (PCI DSS v4.0.1, 3.4.1), and the CHECKs see to it that neither can hold more.
-- STRICT: a text never slips into a number's column.

CREATE TABLE writers (
    name        TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    epoch       INTEGER NOT NULL,               -- one more at each start
    pid         INTEGER NOT NULL,
    started_ms  INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL,               -- last ping
    records     INTEGER NOT NULL DEFAULT 0,     -- length of this writer's chain
    head        BLOB    NOT NULL CHECK (length(head) = 32)
) STRICT;

CREATE TABLE counters (
    name   TEXT    NOT NULL PRIMARY KEY,
    value  INTEGER NOT NULL
) STRICT;

INSERT INTO counters (name, value) VALUES ('acquirer_order', 0);

-- Parts beside part 0: declared parts of a split, additional payments with a person and a reason.
CREATE TABLE order_parts (
    tenant        TEXT    NOT NULL,
    order_id      TEXT    NOT NULL,
    part          INTEGER NOT NULL CHECK (part >= 0),
    kind          TEXT    NOT NULL CHECK (kind IN ('additional', 'split')),
    amount_minor  INTEGER CHECK (amount_minor > 0),
    currency      TEXT    CHECK (length(currency) = 3),
    person        TEXT,
    reason        TEXT,
    declared_ms   INTEGER NOT NULL,
    PRIMARY KEY (tenant, order_id, part),
    CHECK (kind <> 'additional' OR (person IS NOT NULL AND reason IS NOT NULL))
) STRICT;

CREATE TABLE payments (
    id                        TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant                    TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    order_id                  TEXT    CHECK (length(order_id) BETWEEN 1 AND 64),
    part                      INTEGER NOT NULL DEFAULT 0 CHECK (part >= 0),
    operator                  TEXT    CHECK (length(operator) <= 64),
    site                      TEXT    CHECK (length(site) <= 40),
    amount_minor              INTEGER NOT NULL CHECK (amount_minor > 0),
    currency                  TEXT    NOT NULL CHECK (length(currency) = 3),
    state                     TEXT    NOT NULL CHECK (state IN ('waiting', 'in-flight', 'unknown', 'approved', 'declined', 'cancelled', 'expired', 'voided')),
    mode                      TEXT    NOT NULL CHECK (mode IN ('live', 'test')),
    connector                 TEXT    NOT NULL CHECK (length(connector) <= 64),
    language                  TEXT    NOT NULL CHECK (length(language) <= 16),
    prompt_version            TEXT    NOT NULL CHECK (length(prompt_version) <= 64),
    origin                    TEXT    NOT NULL CHECK (origin IN ('api', 'dialplan')),
    entered_by                TEXT    NOT NULL CHECK (entered_by IN ('caller', 'operator')),
    match_operator_extension  TEXT    CHECK (length(match_operator_extension) <= 40),
    match_caller_number       TEXT    CHECK (length(match_caller_number) <= 24),
    request_key               BLOB    CHECK (length(request_key) = 32),   -- SHA-256 of the API call's Idempotency-Key
    request_hash              BLOB    CHECK (length(request_hash) = 32),  -- SHA-256 of what was asked under it
    created_ms                INTEGER NOT NULL,
    expires_ms                INTEGER,
    updated_ms                INTEGER NOT NULL,
    brand                     TEXT    CHECK (length(brand) <= 16),
    last4                     TEXT    CHECK (length(last4) = 4 AND last4 NOT GLOB '*[^0-9]*'),
    approval_code             TEXT    CHECK (length(approval_code) <= 16),
    acquirer_ref              TEXT    CHECK (length(acquirer_ref) <= 128),
    decline_reason            TEXT    CHECK (length(decline_reason) <= 40),
    result                    TEXT    CHECK (length(result) <= 40 AND result NOT GLOB '*[^a-z-]*'),
    evidence                  TEXT    CHECK (json_valid(evidence)),       -- prompt names, amounts, menu keys
    CHECK ((request_key IS NULL) = (request_hash IS NULL))
) STRICT;

-- The order lock: a second call about the same order cannot charge again.
CREATE UNIQUE INDEX payments_one_an_order ON payments (tenant, order_id, part)
    WHERE order_id IS NOT NULL AND state IN ('waiting', 'in-flight', 'unknown', 'approved');
CREATE UNIQUE INDEX payments_one_a_request ON payments (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX payments_by_order ON payments (tenant, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_open ON payments (state, expires_ms) WHERE state IN ('waiting', 'in-flight', 'unknown');

CREATE TABLE operations (
    id               TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    payment          TEXT    NOT NULL REFERENCES payments (id),
    parent           TEXT    REFERENCES operations (id),      -- what is captured, voided, refunded or queried
    kind             TEXT    NOT NULL CHECK (kind IN ('authorize', 'capture', 'charge', 'query', 'refund', 'tokenize', 'verify', 'void')),
    amount_minor     INTEGER NOT NULL CHECK (amount_minor > 0),
    currency         TEXT    NOT NULL CHECK (length(currency) = 3),
    idempotency_key  TEXT    NOT NULL UNIQUE CHECK (length(idempotency_key) = 36),
    acquirer_order   INTEGER NOT NULL CHECK (acquirer_order BETWEEN 0 AND 99999999999999999),
    state            TEXT    NOT NULL CHECK (state IN ('in-flight', 'approved', 'declined', 'not-charged', 'unknown')),
    outcome          TEXT    CHECK (json_valid(outcome)),
    progress         TEXT    CHECK (json_valid(progress)),    -- the acquirer's references between two steps of a connector
    brand            TEXT    NOT NULL CHECK (length(brand) <= 16),
    last4            TEXT    NOT NULL CHECK (length(last4) = 4 AND last4 NOT GLOB '*[^0-9]*'),
    writer           TEXT    NOT NULL REFERENCES writers (name),
    epoch            INTEGER NOT NULL,
    created_ms       INTEGER NOT NULL,
    updated_ms       INTEGER NOT NULL
) STRICT;

CREATE INDEX operations_by_payment ON operations (payment);
CREATE UNIQUE INDEX operations_acquirer_order ON operations (acquirer_order) WHERE parent IS NULL;
CREATE INDEX operations_open ON operations (state) WHERE state IN ('in-flight', 'unknown');
-- One charge of a payment may be open or done; a second card waits until the first is known to be refused.
CREATE UNIQUE INDEX operations_one_charge ON operations (payment)
    WHERE kind IN ('authorize', 'charge') AND state IN ('in-flight', 'unknown', 'approved');

-- Append only. `number` counts a writer's chain without a gap; `hash` covers every other column and the hash before.
CREATE TABLE records (
    sequence   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    payment    TEXT    REFERENCES payments (id),
    operation  TEXT    REFERENCES operations (id),
    kind       TEXT    NOT NULL CHECK (length(kind) <= 40),
    body       TEXT    NOT NULL CHECK (json_valid(body)),
    writer     TEXT    NOT NULL REFERENCES writers (name),
    number     INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    prev_hash  BLOB    NOT NULL CHECK (length(prev_hash) = 32)
) STRICT;

CREATE UNIQUE INDEX records_chain ON records (writer, number);
CREATE INDEX records_by_payment ON records (payment) WHERE payment IS NOT NULL;

CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE TRIGGER records_are_never_deleted BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;

-- Webhook events, written in the transaction that causes them.
CREATE TABLE outbox (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    payment       TEXT    NOT NULL REFERENCES payments (id),
    number        INTEGER NOT NULL,        -- order among the events of a payment
    kind          TEXT    NOT NULL,
    body          TEXT    NOT NULL CHECK (json_valid(body)),
    created_ms    INTEGER NOT NULL,
    due_ms        INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    delivered_ms  INTEGER,
    given_up_ms   INTEGER,
    UNIQUE (payment, number)
) STRICT;

CREATE INDEX outbox_due ON outbox (due_ms) WHERE delivered_ms IS NULL AND given_up_ms IS NULL;

-- Which call works on a payment.
CREATE TABLE claims (
    payment  TEXT    NOT NULL PRIMARY KEY REFERENCES payments (id),
    call     TEXT    NOT NULL CHECK (length(call) = 36),
    writer   TEXT    NOT NULL REFERENCES writers (name),
    epoch    INTEGER NOT NULL,
    at_ms    INTEGER NOT NULL
) STRICT;

-- What a person must do, by when.
CREATE TABLE tasks (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind        TEXT    NOT NULL CHECK (kind IN ('call-back', 'inquire')),
    payment     TEXT    NOT NULL REFERENCES payments (id),
    operation   TEXT    REFERENCES operations (id),
    owner       TEXT,
    due_ms      INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'done')),
    note        TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    closed_ms   INTEGER,
    closed_by   TEXT
) STRICT;

CREATE INDEX tasks_open ON tasks (due_ms) WHERE state = 'open';
CREATE UNIQUE INDEX tasks_one_of_a_kind ON tasks (payment, kind) WHERE state = 'open';

CREATE TABLE audit (
    sequence  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    who       TEXT    NOT NULL,
    what      TEXT    NOT NULL,
    tenant    TEXT,
    payment   TEXT    REFERENCES payments (id),
    detail    TEXT,
    at_ms     INTEGER NOT NULL
) STRICT;
