-- Recorders beside Asterisk that were paused for a call, until they say that they run again. A process that dies leaves them here.
CREATE TABLE recorder_pauses (
    recorder     TEXT    NOT NULL CHECK (length(recorder) BETWEEN 1 AND 64),
    call         TEXT    NOT NULL CHECK (length(call) = 36),
    channel      TEXT    NOT NULL CHECK (length(channel) <= 150),
    sip_call_id  TEXT    CHECK (length(sip_call_id) <= 255),
    caller       TEXT    CHECK (length(caller) <= 24),
    extension    TEXT    CHECK (length(extension) <= 40),
    tenant       TEXT    NOT NULL CHECK (length(tenant) BETWEEN 1 AND 40),
    paused_ms    INTEGER NOT NULL,
    PRIMARY KEY (recorder, call)
) STRICT;

-- Recordings in which a card was spoken or keyed (PCI DSS v4.0.1, 12.10.7). Paths, never contents.
CREATE TABLE recordings (
    id              TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    state           TEXT    NOT NULL CHECK (state IN ('marked', 'quarantined', 'deleted', 'redacted')),
    origin          TEXT    NOT NULL CHECK (length(origin) BETWEEN 1 AND 4096),   -- where it was
    file            TEXT    CHECK (length(file) BETWEEN 1 AND 4096),              -- where it is in quarantine
    call            TEXT    CHECK (length(call) <= 150),
    marked_by       TEXT    NOT NULL CHECK (length(marked_by) BETWEEN 1 AND 64),
    reason          TEXT    NOT NULL CHECK (length(reason) <= 200),
    marked_ms       INTEGER NOT NULL,
    quarantined_ms  INTEGER,
    resolved_by     TEXT    CHECK (length(resolved_by) BETWEEN 1 AND 64),
    resolved_ms     INTEGER,
    CHECK ((state IN ('deleted', 'redacted')) = (resolved_by IS NOT NULL)),
    CHECK (state <> 'quarantined' OR file IS NOT NULL)
) STRICT;

CREATE UNIQUE INDEX recordings_open ON recordings (origin) WHERE state IN ('marked', 'quarantined');

-- A task is about a payment, or about a recording.
CREATE TABLE tasks_new (
    id          TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind        TEXT    NOT NULL CHECK (kind IN ('call-back', 'inquire', 'quarantine')),
    payment     TEXT    REFERENCES payments (id),
    operation   TEXT    REFERENCES operations (id),
    recording   TEXT    REFERENCES recordings (id),
    owner       TEXT,
    due_ms      INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'done')),
    note        TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    closed_ms   INTEGER,
    closed_by   TEXT,
    CHECK ((payment IS NULL) <> (recording IS NULL))
) STRICT;
INSERT INTO tasks_new (id, kind, payment, operation, owner, due_ms, state, note, created_ms, closed_ms, closed_by)
    SELECT id, kind, payment, operation, owner, due_ms, state, note, created_ms, closed_ms, closed_by FROM tasks;
DROP TABLE tasks;
ALTER TABLE tasks_new RENAME TO tasks;
CREATE INDEX tasks_open ON tasks (due_ms) WHERE state = 'open';
CREATE UNIQUE INDEX tasks_one_of_a_kind ON tasks (payment, kind) WHERE state = 'open';
