-- Who may what: people, their second factors and sessions, keys of programs, and failures to sign in.
CREATE TABLE people (
    id            text COLLATE "C"    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    name          text COLLATE "C"    NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    shown         text COLLATE "C"    NOT NULL CHECK (length(shown) <= 100),
    tenant        text COLLATE "C"    CHECK (length(tenant) BETWEEN 1 AND 40),   -- none: all of them
    role          text COLLATE "C"    NOT NULL CHECK (role IN ('operator', 'supervisor', 'admin')),
    extension     text COLLATE "C"    CHECK (length(extension) <= 16),
    language      text COLLATE "C"    CHECK (length(language) <= 8),
    email         text COLLATE "C"    CHECK (length(email) <= 200),
    subject       text COLLATE "C"    CHECK (length(subject) <= 255),            -- as the issuer of single sign-on names him
    password      text COLLATE "C"    CHECK (length(password) <= 255),           -- argon2id
    password_ms   bigint,
    factor        bytea    CHECK (length(factor) <= 200),             -- sealed
    confirmed_ms  bigint,
    step          bigint NOT NULL DEFAULT 0,                        -- of the last code that was good: none at or before it is again
    created_ms    bigint NOT NULL,
    created_by    text COLLATE "C"    NOT NULL,
    disabled_ms   bigint
);
CREATE UNIQUE INDEX people_by_subject ON people (subject) WHERE subject IS NOT NULL;
CREATE UNIQUE INDEX people_by_email ON people (email) WHERE email IS NOT NULL;

CREATE TABLE recovery_codes (
    person   text COLLATE "C"    NOT NULL REFERENCES people (id),
    hash     bytea    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (person, hash)
);

CREATE TABLE sessions (
    hash        bytea    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),    -- SHA-256 of the token
    person      text COLLATE "C"    NOT NULL REFERENCES people (id),
    address     text COLLATE "C"    NOT NULL CHECK (length(address) <= 64),
    created_ms  bigint NOT NULL,
    seen_ms     bigint NOT NULL,
    expires_ms  bigint NOT NULL
);
CREATE INDEX sessions_by_person ON sessions (person);

-- Tries to sign in that have not been good, by SHA-256 of the name, whether there is somebody of that name or not.
CREATE TABLE tries (
    name       bytea    NOT NULL PRIMARY KEY CHECK (length(name) = 32),
    failed     bigint NOT NULL,
    at_ms      bigint NOT NULL,
    until_ms   bigint NOT NULL DEFAULT 0
);
CREATE INDEX tries_by_age ON tries (at_ms);

CREATE TABLE keys (
    id          text COLLATE "C"    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    tenant      text COLLATE "C"    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    name        text COLLATE "C"    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    prefix      text COLLATE "C"    NOT NULL CHECK (length(prefix) <= 16),
    hash        bytea    NOT NULL UNIQUE CHECK (length(hash) = 32),         -- SHA-256 of the key
    scopes      text COLLATE "C"    NOT NULL CHECK (length(scopes) <= 400),
    per_minute  bigint,
    created_ms  bigint NOT NULL,
    created_by  text COLLATE "C"    NOT NULL,
    expires_ms  bigint,
    used_ms     bigint,
    revoked_ms  bigint
);
CREATE INDEX keys_by_tenant ON keys (tenant, name);

-- What single sign-on was begun with, for ten minutes and once.
CREATE TABLE sign_ins (
    state     bytea    NOT NULL PRIMARY KEY CHECK (length(state) = 32),     -- SHA-256 of it
    nonce     text COLLATE "C"    NOT NULL CHECK (length(nonce) <= 64),
    verifier  text COLLATE "C"    NOT NULL CHECK (length(verifier) <= 128),
    at_ms     bigint NOT NULL
);

-- Who did what stands in the chain of records, and may go when its time is over as the record of a payment may.
CREATE INDEX records_access ON records (sequence) WHERE kind = 'access';
CREATE OR REPLACE FUNCTION records_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.body = 'null' AND NEW.payment IS NULL AND NEW.operation IS NULL AND (OLD.payment IS NOT NULL OR OLD.kind = 'access')
            AND NEW.sequence = OLD.sequence AND NEW.kind = OLD.kind AND NEW.writer = OLD.writer AND NEW.number = OLD.number
            AND NEW.epoch = OLD.epoch AND NEW.version = OLD.version AND NEW.at_ms = OLD.at_ms AND NEW.hash = OLD.hash
            AND NEW.prev_hash = OLD.prev_hash
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'records are append-only';
END $$;
