-- What a person may not ask of an acquirer alone, until a second one has said yes or no, or the time is over.
CREATE TABLE approvals (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant        TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    payment       TEXT    NOT NULL CHECK (length(payment) = 36),
    kind          TEXT    NOT NULL CHECK (length(kind) <= 16),
    asked_minor   INTEGER,                                           -- as it was asked; none: the whole
    amount_minor  INTEGER NOT NULL CHECK (amount_minor > 0),
    currency      TEXT    NOT NULL CHECK (length(currency) = 3),
    request       TEXT    NOT NULL,                                  -- the same wish again is the same approval
    asked_by      TEXT    NOT NULL CHECK (length(asked_by) BETWEEN 1 AND 64),
    asked_ms      INTEGER NOT NULL,
    until_ms      INTEGER NOT NULL,
    state         TEXT    NOT NULL CHECK (state IN ('open', 'approved', 'refused', 'done', 'lapsed')),
    decided_by    TEXT    CHECK (length(decided_by) BETWEEN 1 AND 64),
    decided_ms    INTEGER,
    operation     TEXT    CHECK (length(operation) = 36)
) STRICT;
CREATE INDEX approvals_open ON approvals (tenant, state, id);
CREATE UNIQUE INDEX approvals_one_a_wish ON approvals (payment, request) WHERE state = 'open';
