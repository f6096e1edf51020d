-- Who may what: people, their second factors and sessions, keys of programs, and failures to sign in.
CREATE TABLE people (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    name          TEXT    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    shown         TEXT    NOT NULL CHECK (length(shown) <= 100),
    tenant        TEXT    CHECK (length(tenant) BETWEEN 1 AND 40),   -- none: all of them
    role          TEXT    NOT NULL CHECK (role IN ('operator', 'supervisor', 'admin')),
    extension     TEXT    CHECK (length(extension) <= 16),
    language      TEXT    CHECK (length(language) <= 8),
    email         TEXT    CHECK (length(email) <= 200),
    subject       TEXT    CHECK (length(subject) <= 255),            -- as the issuer of single sign-on names him
    password      TEXT    CHECK (length(password) <= 255),           -- argon2id
    password_ms   INTEGER,
    factor        BLOB    CHECK (length(factor) <= 200),             -- sealed
    confirmed_ms  INTEGER,
    step          INTEGER NOT NULL DEFAULT 0,                        -- of the last code that was good: none at or before it is again
    created_ms    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    disabled_ms   INTEGER
) STRICT;
CREATE UNIQUE INDEX people_by_subject ON people (subject) WHERE subject IS NOT NULL;
CREATE UNIQUE INDEX people_by_email ON people (email) WHERE email IS NOT NULL;

CREATE TABLE recovery_codes (
    person   TEXT    NOT NULL REFERENCES people (id),
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (person, hash)
) STRICT;

CREATE TABLE sessions (
    hash        BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),    -- SHA-256 of the token
    person      TEXT    NOT NULL REFERENCES people (id),
    address     TEXT    NOT NULL CHECK (length(address) <= 64),
    created_ms  INTEGER NOT NULL,
    seen_ms     INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_person ON sessions (person);

-- Tries to sign in that have not been good, by SHA-256 of the name, whether there is somebody of that name or not.
CREATE TABLE tries (
    name       BLOB    NOT NULL PRIMARY KEY CHECK (length(name) = 32),
    failed     INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    until_ms   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX tries_by_age ON tries (at_ms);

CREATE TABLE keys (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant      TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    name        TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    prefix      TEXT    NOT NULL CHECK (length(prefix) <= 16),
    hash        BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),         -- SHA-256 of the key
    scopes      TEXT    NOT NULL CHECK (length(scopes) <= 400),
    per_minute  INTEGER,
    created_ms  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    expires_ms  INTEGER,
    used_ms     INTEGER,
    revoked_ms  INTEGER
) STRICT;
CREATE INDEX keys_by_tenant ON keys (tenant, name);

-- What single sign-on was begun with, for ten minutes and once.
CREATE TABLE sign_ins (
    state     BLOB    NOT NULL PRIMARY KEY CHECK (length(state) = 32),     -- SHA-256 of it
    nonce     TEXT    NOT NULL CHECK (length(nonce) <= 64),
    verifier  TEXT    NOT NULL CHECK (length(verifier) <= 128),
    at_ms     INTEGER NOT NULL
) STRICT;

-- Who did what stands in the chain of records, and may go when its time is over as the record of a payment may.
CREATE INDEX records_access ON records (sequence) WHERE kind = 'access';
DROP TRIGGER records_are_never_changed;
CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records
WHEN NOT (NEW.body = 'null' AND NEW.payment IS NULL AND NEW.operation IS NULL AND (OLD.payment IS NOT NULL OR OLD.kind = 'access')
    AND NEW.sequence = OLD.sequence AND NEW.kind = OLD.kind AND NEW.writer = OLD.writer AND NEW.number = OLD.number
    AND NEW.epoch = OLD.epoch AND NEW.version = OLD.version AND NEW.at_ms = OLD.at_ms AND NEW.hash = OLD.hash AND NEW.prev_hash = OLD.prev_hash)
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
