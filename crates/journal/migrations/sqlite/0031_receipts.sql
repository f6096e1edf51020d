-- Receipts that were issued, as they were: shown again from `content` and its template alone. One number is one document; a further issue of it says so.
CREATE TABLE receipt_numbers (
    tenant  TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    prefix  TEXT    NOT NULL CHECK (length(prefix) <= 20),
    last    INTEGER NOT NULL CHECK (last > 0),
    PRIMARY KEY (tenant, prefix)
) STRICT;
CREATE TABLE receipt_templates (
    hash  BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    text  TEXT NOT NULL CHECK (length(text) <= 65536)
) STRICT;
CREATE TABLE receipts (
    tenant        TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    number        TEXT    NOT NULL CHECK (length(number) BETWEEN 1 AND 40),
    issue         INTEGER NOT NULL CHECK (issue > 0),
    kind          TEXT    NOT NULL CHECK (kind IN ('receipt', 'return')),
    payment       TEXT    NOT NULL REFERENCES payments (id),
    amount_minor  INTEGER NOT NULL CHECK (amount_minor > 0),
    content       TEXT    NOT NULL CHECK (json_valid(content) AND length(content) <= 131072),
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),              -- SHA-256 of the content
    template      BLOB    NOT NULL REFERENCES receipt_templates (hash),
    person        TEXT    NOT NULL CHECK (length(person) BETWEEN 1 AND 64),
    via           TEXT    NOT NULL,
    issued_ms     INTEGER NOT NULL,
    PRIMARY KEY (tenant, number, issue)
) STRICT;
CREATE INDEX receipts_by_payment ON receipts (payment);
CREATE TRIGGER receipts_are_never_changed BEFORE UPDATE ON receipts
BEGIN SELECT RAISE(ABORT, 'receipts are never changed'); END;
