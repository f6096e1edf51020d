-- What a person may not ask of an acquirer alone, until a second one has said yes or no, or the time is over.
CREATE TABLE approvals (
    id            text COLLATE "C"    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant        text COLLATE "C"    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    payment       text COLLATE "C"    NOT NULL CHECK (length(payment) = 36),
    kind          text COLLATE "C"    NOT NULL CHECK (length(kind) <= 16),
    asked_minor   bigint,                                           -- as it was asked; none: the whole
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    currency      text COLLATE "C"    NOT NULL CHECK (length(currency) = 3),
    request       text COLLATE "C"    NOT NULL,                                  -- the same wish again is the same approval
    asked_by      text COLLATE "C"    NOT NULL CHECK (length(asked_by) BETWEEN 1 AND 64),
    asked_ms      bigint NOT NULL,
    until_ms      bigint NOT NULL,
    state         text COLLATE "C"    NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'done', 'lapsed')),
    decided_by    text COLLATE "C"    CHECK (length(decided_by) BETWEEN 1 AND 64),
    decided_ms    bigint,
    operation     text COLLATE "C"    CHECK (length(operation) = 36)
);
CREATE INDEX approvals_open ON approvals (tenant, state, id);
CREATE UNIQUE INDEX approvals_one_a_wish ON approvals (payment, request) WHERE state = 'open';
