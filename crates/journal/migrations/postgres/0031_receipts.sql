-- Receipts that were issued, as they were: shown again from `content` and its template alone. One number is one document; a further issue of it says so.
CREATE TABLE receipt_numbers (
    tenant  text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    prefix  text COLLATE "C" NOT NULL CHECK (length(prefix) <= 20),
    last    bigint NOT NULL CHECK (last > 0),
    PRIMARY KEY (tenant, prefix)
);
CREATE TABLE receipt_templates (
    hash  bytea NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    text  text COLLATE "C" NOT NULL CHECK (length(text) <= 65536)
);
CREATE TABLE receipts (
    tenant        text COLLATE "C" NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    number        text COLLATE "C" NOT NULL CHECK (length(number) BETWEEN 1 AND 40),
    issue         bigint NOT NULL CHECK (issue > 0),
    kind          text COLLATE "C" NOT NULL CHECK (kind IN ('receipt', 'return')),
    payment       text COLLATE "C" NOT NULL REFERENCES payments (id),
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    content       text COLLATE "C" NOT NULL CHECK (length(content) <= 131072),
    hash          bytea NOT NULL CHECK (length(hash) = 32),                -- SHA-256 of the content
    template      bytea NOT NULL REFERENCES receipt_templates (hash),
    person        text COLLATE "C" NOT NULL CHECK (length(person) BETWEEN 1 AND 64),
    via           text COLLATE "C" NOT NULL,
    issued_ms     bigint NOT NULL,
    PRIMARY KEY (tenant, number, issue)
);
CREATE INDEX receipts_by_payment ON receipts (payment);
CREATE FUNCTION receipts_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'receipts are never changed';
END $$;
CREATE TRIGGER receipts_are_never_changed BEFORE UPDATE ON receipts FOR EACH ROW EXECUTE FUNCTION receipts_are_never_changed();
