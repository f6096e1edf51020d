-- The journal of payments, as `migrations/sqlite` has it behind its fifteenth step; from the next one on the numbers are the same. Times are UTC
-- milliseconds, amounts minor units (ISO 4217), ids UUIDs as text, compared byte by byte.
--
-- No column is for card data but `brand` and `last4` (PCI DSS v4.0.1, 3.4.1), and the CHECKs see to it that neither can hold more.

CREATE TABLE writers (
    name        text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    epoch       bigint NOT NULL,               -- one more at each start
    pid         bigint NOT NULL,
    started_ms  bigint NOT NULL,
    seen_ms     bigint NOT NULL,               -- last ping
    records     bigint NOT NULL DEFAULT 0,     -- length of this writer's chain
    head        bytea NOT NULL CHECK (length(head) = 32)
);

CREATE TABLE counters (
    name   text COLLATE "C" NOT NULL PRIMARY KEY,
    value  bigint NOT NULL
);

CREATE TABLE order_parts (
    tenant        text COLLATE "C" NOT NULL,
    order_id      text COLLATE "C" NOT NULL,
    part          bigint NOT NULL CHECK (part >= 0),
    kind          text COLLATE "C" NOT NULL CHECK (kind IN ('additional', 'split')),
    amount_minor  bigint CHECK (amount_minor > 0),
    currency      text COLLATE "C" CHECK (length(currency) = 3),
    person        text COLLATE "C",
    reason        text COLLATE "C",
    declared_ms   bigint NOT NULL,
    PRIMARY KEY (tenant, order_id, part),
    CHECK (kind <> 'additional' OR (person IS NOT NULL AND reason IS NOT NULL))
);

CREATE TABLE payments (
    id                        text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant                    text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    order_id                  text COLLATE "C" CHECK (length(order_id) BETWEEN 1 AND 64),
    part                      bigint NOT NULL DEFAULT 0 CHECK (part >= 0),
    operator                  text COLLATE "C" CHECK (length(operator) <= 64),
    site                      text COLLATE "C" CHECK (length(site) <= 40),
    amount_minor              bigint NOT NULL CHECK (amount_minor > 0),
    currency                  text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    state                     text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'in-flight', 'unknown', 'approved', 'declined', 'cancelled', 'expired', 'voided')),
    mode                      text COLLATE "C" NOT NULL CHECK (mode IN ('live', 'test')),
    connector                 text COLLATE "C" NOT NULL CHECK (length(connector) <= 64),
    language                  text COLLATE "C" NOT NULL CHECK (length(language) <= 16),
    prompt_version            text COLLATE "C" NOT NULL CHECK (length(prompt_version) <= 64),
    origin                    text COLLATE "C" NOT NULL CHECK (origin IN ('api', 'dialplan')),
    entered_by                text COLLATE "C" NOT NULL CHECK (entered_by IN ('caller', 'operator')),
    match_operator_extension  text COLLATE "C" CHECK (length(match_operator_extension) <= 40),
    match_caller_number       text COLLATE "C" CHECK (length(match_caller_number) <= 24),
    request_key               bytea CHECK (length(request_key) = 32),   -- SHA-256 of the API call's Idempotency-Key
    request_hash              bytea CHECK (length(request_hash) = 32),  -- SHA-256 of what was asked under it
    created_ms                bigint NOT NULL,
    expires_ms                bigint,
    updated_ms                bigint NOT NULL,
    brand                     text COLLATE "C" CHECK (length(brand) <= 16),
    last4                     text COLLATE "C" CHECK (length(last4) = 4 AND last4 ~ '^[0-9]*$'),
    approval_code             text COLLATE "C" CHECK (length(approval_code) <= 16),
    acquirer_ref              text COLLATE "C" CHECK (length(acquirer_ref) <= 128),
    decline_reason            text COLLATE "C" CHECK (length(decline_reason) <= 40),
    result                    text COLLATE "C" CHECK (length(result) <= 40 AND result ~ '^[a-z-]*$'),
    evidence                  text COLLATE "C" CHECK (evidence IS NULL OR CAST(evidence AS json) IS NOT NULL),  -- prompt names, amounts, menu keys
    reference bigint CHECK (reference BETWEEN 1 AND 99999999),
    desk boolean NOT NULL DEFAULT false CHECK (NOT desk OR origin = 'api'),
    plan text COLLATE "C" NOT NULL DEFAULT 'lump_sum' CHECK (length(plan) BETWEEN 5 AND 24),
    captured_minor bigint CHECK (captured_minor > 0),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    transaction_type text COLLATE "C" NOT NULL DEFAULT 'charge'
        CHECK (transaction_type IN ('authorize', 'charge', 'tokenize', 'verify')),
    token text COLLATE "C" CHECK (length(token) BETWEEN 1 AND 128),
    token_brand text COLLATE "C" CHECK (length(token_brand) <= 16),
    token_last4 text COLLATE "C" CHECK (length(token_last4) = 4 AND token_last4 ~ '^[0-9]*$'),
    asked_plan text COLLATE "C" CHECK (length(asked_plan) BETWEEN 5 AND 24),
    connector_named boolean NOT NULL DEFAULT false,
    CHECK ((request_key IS NULL) = (request_hash IS NULL))
);

CREATE UNIQUE INDEX payments_one_a_request ON payments (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX payments_by_order ON payments (tenant, order_id) WHERE order_id IS NOT NULL;
CREATE INDEX payments_open ON payments (state, expires_ms) WHERE state IN ('waiting', 'in-flight', 'unknown');
CREATE UNIQUE INDEX payments_reference ON payments (reference) WHERE reference IS NOT NULL;
CREATE INDEX payments_stored ON payments (tenant, acquirer_ref) WHERE transaction_type = 'tokenize' AND state = 'approved';
CREATE UNIQUE INDEX payments_one_an_order ON payments (tenant, order_id, part)
    WHERE order_id IS NOT NULL AND (state IN ('waiting', 'in-flight', 'unknown')
        OR (state = 'approved' AND transaction_type IN ('authorize', 'charge')));
CREATE INDEX payments_reserved ON payments (id) WHERE state = 'approved' AND captured_minor IS NULL;

CREATE TABLE operations (
    id               text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    payment          text COLLATE "C" NOT NULL REFERENCES payments (id),
    parent           text COLLATE "C" REFERENCES operations (id),      -- what is captured, voided, refunded or queried
    kind             text COLLATE "C" NOT NULL CHECK (kind IN ('authorize', 'capture', 'charge', 'query', 'refund', 'tokenize', 'verify', 'void')),
    amount_minor     bigint NOT NULL CHECK (amount_minor > 0),
    currency         text COLLATE "C" NOT NULL CHECK (length(currency) = 3),
    idempotency_key  text COLLATE "C" NOT NULL UNIQUE CHECK (length(idempotency_key) = 36),
    acquirer_order   bigint NOT NULL CHECK (acquirer_order BETWEEN 0 AND 99999999999999999),
    state            text COLLATE "C" NOT NULL CHECK (state IN ('in-flight', 'approved', 'declined', 'not-charged', 'unknown')),
    outcome          text COLLATE "C" CHECK (outcome IS NULL OR CAST(outcome AS json) IS NOT NULL),
    progress         text COLLATE "C" CHECK (progress IS NULL OR CAST(progress AS json) IS NOT NULL),    -- the acquirer's references between two steps of a connector
    brand            text COLLATE "C" NOT NULL CHECK (length(brand) <= 16),
    last4            text COLLATE "C" NOT NULL CHECK (length(last4) = 4 AND last4 ~ '^[0-9]*$'),
    writer           text COLLATE "C" NOT NULL REFERENCES writers (name),
    epoch            bigint NOT NULL,
    created_ms       bigint NOT NULL,
    updated_ms       bigint NOT NULL,
    by_whom text COLLATE "C" CHECK (length(by_whom) BETWEEN 1 AND 64),
    request_key bytea CHECK (length(request_key) = 32),
    request_hash bytea CHECK (length(request_hash) = 32),
    connector text COLLATE "C" CHECK (length(connector) BETWEEN 1 AND 64),
    inquired bigint NOT NULL DEFAULT 0 CHECK (inquired >= 0),
    inquire_ms bigint );

CREATE INDEX operations_by_payment ON operations (payment);
CREATE UNIQUE INDEX operations_acquirer_order ON operations (acquirer_order) WHERE parent IS NULL;
CREATE INDEX operations_open ON operations (state) WHERE state IN ('in-flight', 'unknown');
CREATE UNIQUE INDEX operations_one_a_request ON operations (payment, request_key) WHERE request_key IS NOT NULL;
CREATE UNIQUE INDEX operations_one_later ON operations (payment)
    WHERE kind IN ('capture', 'void', 'refund') AND state IN ('in-flight', 'unknown');
CREATE UNIQUE INDEX operations_one_charge ON operations (payment)
    WHERE kind IN ('authorize', 'charge', 'tokenize', 'verify') AND state IN ('in-flight', 'unknown', 'approved');
CREATE INDEX operations_by_connector ON operations (connector);
CREATE INDEX operations_to_inquire ON operations (connector, inquire_ms, id) WHERE inquire_ms IS NOT NULL;

CREATE TABLE records (
    sequence   bigint NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    payment    text COLLATE "C" REFERENCES payments (id),
    operation  text COLLATE "C" REFERENCES operations (id),
    kind       text COLLATE "C" NOT NULL CHECK (length(kind) <= 40),
    body       text COLLATE "C" NOT NULL CHECK (CAST(body AS json) IS NOT NULL),
    writer     text COLLATE "C" NOT NULL REFERENCES writers (name),
    number     bigint NOT NULL,
    epoch      bigint NOT NULL,
    version    bigint NOT NULL,
    at_ms      bigint NOT NULL,
    hash       bytea NOT NULL CHECK (length(hash) = 32),
    prev_hash  bytea NOT NULL CHECK (length(prev_hash) = 32)
);

CREATE UNIQUE INDEX records_chain ON records (writer, number);
CREATE INDEX records_by_payment ON records (payment) WHERE payment IS NOT NULL;

CREATE TABLE outbox (
    id            text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    payment       text COLLATE "C" NOT NULL REFERENCES payments (id),
    number        bigint NOT NULL,        -- order among the events of a payment
    kind          text COLLATE "C" NOT NULL,
    body          text COLLATE "C" NOT NULL CHECK (CAST(body AS json) IS NOT NULL),
    created_ms    bigint NOT NULL,
    due_ms        bigint NOT NULL,
    attempts      bigint NOT NULL DEFAULT 0,
    delivered_ms  bigint,
    given_up_ms   bigint,
    UNIQUE (payment, number)
);

CREATE INDEX outbox_due ON outbox (due_ms) WHERE delivered_ms IS NULL AND given_up_ms IS NULL;

CREATE TABLE claims (
    payment  text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES payments (id),
    call     text COLLATE "C" NOT NULL CHECK (length(call) = 36),
    writer   text COLLATE "C" NOT NULL REFERENCES writers (name),
    epoch    bigint NOT NULL,
    at_ms    bigint NOT NULL
);

CREATE TABLE recordings (
    id              text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    state           text COLLATE "C" NOT NULL CHECK (state IN ('marked', 'quarantined', 'deleted', 'redacted')),
    origin          text COLLATE "C" NOT NULL CHECK (length(origin) BETWEEN 1 AND 4096),   -- where it was
    file            text COLLATE "C" CHECK (length(file) BETWEEN 1 AND 4096),              -- where it is in quarantine
    call            text COLLATE "C" CHECK (length(call) <= 150),
    marked_by       text COLLATE "C" NOT NULL CHECK (length(marked_by) BETWEEN 1 AND 64),
    reason          text COLLATE "C" NOT NULL CHECK (length(reason) <= 200),
    marked_ms       bigint NOT NULL,
    quarantined_ms  bigint,
    resolved_by     text COLLATE "C" CHECK (length(resolved_by) BETWEEN 1 AND 64),
    resolved_ms     bigint,
    deleting_by text COLLATE "C" CHECK (length(deleting_by) BETWEEN 1 AND 64),
    CHECK ((state IN ('deleted', 'redacted')) = (resolved_by IS NOT NULL)),
    CHECK (state <> 'quarantined' OR file IS NOT NULL)
);

CREATE UNIQUE INDEX recordings_open ON recordings (origin) WHERE state IN ('marked', 'quarantined');

CREATE TABLE tasks (
    id             text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind           text COLLATE "C" NOT NULL CHECK (kind IN ('acquirer-contradicts', 'approved-caller-gone', 'expiring-authorization', 'promised-call-back',
                                                    'quarantined-recording', 'unknown-outcome')),
    state          text COLLATE "C" NOT NULL CHECK (state IN ('open', 'taken', 'done')),
    tenant         text COLLATE "C" CHECK (length(tenant) BETWEEN 1 AND 40),        -- a recording has none
    payment        text COLLATE "C" REFERENCES payments (id),
    operation      text COLLATE "C" REFERENCES operations (id),
    recording      text COLLATE "C" REFERENCES recordings (id),
    order_id       text COLLATE "C" CHECK (length(order_id) BETWEEN 1 AND 64),
    caller_number  text COLLATE "C" CHECK (length(caller_number) <= 24),
    owner          text COLLATE "C" CHECK (length(owner) BETWEEN 1 AND 64),         -- an operator, or role:NAME
    due_ms         bigint NOT NULL,
    reason         text COLLATE "C" NOT NULL CHECK (length(reason) <= 500),
    created_ms     bigint NOT NULL,
    created_by     text COLLATE "C" CHECK (length(created_by) BETWEEN 1 AND 64),    -- who promised it
    taken_ms       bigint,
    taken_by       text COLLATE "C" CHECK (length(taken_by) BETWEEN 1 AND 64),
    done_ms        bigint,
    done_by        text COLLATE "C" CHECK (length(done_by) <= 64),
    note           text COLLATE "C" CHECK (length(note) BETWEEN 1 AND 500),
    announced_ms   bigint,                                                -- when listeners were told of it
    overdue_ms     bigint,                                                -- when they were told that it is late
    CHECK (CASE kind WHEN 'quarantined-recording' THEN recording IS NOT NULL AND payment IS NULL
                     WHEN 'promised-call-back' THEN tenant IS NOT NULL AND (payment IS NOT NULL OR order_id IS NOT NULL) AND caller_number IS NOT NULL
                     ELSE payment IS NOT NULL AND tenant IS NOT NULL END),
    CHECK (kind <> 'acquirer-contradicts' OR operation IS NOT NULL),
    CHECK ((state = 'done') = (done_ms IS NOT NULL)),
    CHECK ((taken_by IS NULL) = (taken_ms IS NULL)),
    CHECK (state <> 'taken' OR taken_by IS NOT NULL)
);

CREATE INDEX tasks_due ON tasks (due_ms, id) WHERE state <> 'done';
CREATE INDEX tasks_done ON tasks (done_ms, id) WHERE state = 'done';
CREATE INDEX tasks_not_announced ON tasks (id) WHERE announced_ms IS NULL;
CREATE INDEX tasks_overdue ON tasks (due_ms) WHERE overdue_ms IS NULL AND state <> 'done';
CREATE UNIQUE INDEX tasks_one_of_a_kind ON tasks (payment, kind) WHERE state <> 'done' AND kind <> 'acquirer-contradicts';
CREATE UNIQUE INDEX tasks_one_contradiction ON tasks (operation, reason) WHERE kind = 'acquirer-contradicts';
CREATE UNIQUE INDEX tasks_one_promise ON tasks (tenant, order_id) WHERE payment IS NULL AND order_id IS NOT NULL AND state <> 'done';

CREATE TABLE audit (
    sequence  bigint NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    who       text COLLATE "C" NOT NULL,
    what      text COLLATE "C" NOT NULL,
    tenant    text COLLATE "C",
    payment   text COLLATE "C" REFERENCES payments (id),
    detail    text COLLATE "C",
    at_ms     bigint NOT NULL
);

CREATE TABLE recorder_pauses (
    recorder     text COLLATE "C" NOT NULL CHECK (length(recorder) BETWEEN 1 AND 64),
    call         text COLLATE "C" NOT NULL CHECK (length(call) = 36),
    channel      text COLLATE "C" NOT NULL CHECK (length(channel) <= 150),
    sip_call_id  text COLLATE "C" CHECK (length(sip_call_id) <= 255),
    caller       text COLLATE "C" CHECK (length(caller) <= 24),
    extension    text COLLATE "C" CHECK (length(extension) <= 40),
    tenant       text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    paused_ms    bigint NOT NULL,
    PRIMARY KEY (recorder, call)
);

CREATE TABLE calls (
    id            text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant        text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    payment       text COLLATE "C" NOT NULL REFERENCES payments (id),
    number        text COLLATE "C" NOT NULL CHECK (length(number) BETWEEN 1 AND 24),
    first         text COLLATE "C" NOT NULL CHECK (first IN ('customer', 'operator')),
    result        text COLLATE "C" CHECK (length(result) BETWEEN 1 AND 64),
    request_key   bytea CHECK (length(request_key) = 32),    -- SHA-256 of the Idempotency-Key
    request_hash  bytea CHECK (length(request_hash) = 32),   -- SHA-256 of what was asked under it
    created_ms    bigint NOT NULL,
    ended_ms      bigint,
    CHECK ((result IS NULL) = (ended_ms IS NULL)),
    CHECK ((request_key IS NULL) = (request_hash IS NULL))
);

CREATE UNIQUE INDEX calls_one_of_a_payment ON calls (payment) WHERE ended_ms IS NULL;
CREATE UNIQUE INDEX calls_of_a_request ON calls (tenant, request_key) WHERE request_key IS NOT NULL;
CREATE INDEX calls_on ON calls (tenant) WHERE ended_ms IS NULL;

CREATE TABLE live_connectors (
    name         text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    kind         text COLLATE "C" NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    url          text COLLATE "C" NOT NULL CHECK (length(url) <= 2048),
    live         boolean NOT NULL,
    settings     text COLLATE "C" NOT NULL CHECK (CAST(settings AS json) IS NOT NULL),
    credentials  text COLLATE "C" NOT NULL CHECK (CAST(credentials AS json) IS NOT NULL),
    since_ms     bigint NOT NULL,
    changed_ms   bigint,
    changed_by   text COLLATE "C" CHECK (length(changed_by) BETWEEN 1 AND 64)
);

CREATE TABLE releases (
    payment    text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES payments (id),
    wanted_ms  bigint NOT NULL,
    at_ms      bigint NOT NULL      -- when it is tried
);


CREATE FUNCTION records_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'records are append-only';
END $$;
CREATE TRIGGER records_are_never_changed BEFORE UPDATE OR DELETE ON records FOR EACH ROW EXECUTE FUNCTION records_are_append_only();
CREATE TRIGGER records_are_never_cut BEFORE TRUNCATE ON records FOR EACH STATEMENT EXECUTE FUNCTION records_are_append_only();

INSERT INTO counters (name, value) VALUES ('acquirer_order', 0), ('reference', 0);
