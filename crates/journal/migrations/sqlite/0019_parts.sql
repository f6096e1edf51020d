-- Of an order that is split over several cards some parts are paid and others are not: somebody's task.
CREATE TABLE tasks_new (
    id             TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 36),
    kind           TEXT    NOT NULL CHECK (kind IN ('acquirer-contradicts', 'approved-caller-gone', 'expiring-authorization', 'promised-call-back',
                                                    'quarantined-recording', 'unfinished-split', 'unknown-outcome')),
    state          TEXT    NOT NULL CHECK (state IN ('open', 'taken', 'done')),
    tenant         TEXT    CHECK (length(tenant) BETWEEN 1 AND 40),        -- a recording has none
    payment        TEXT    REFERENCES payments (id),
    operation      TEXT    REFERENCES operations (id),
    recording      TEXT    REFERENCES recordings (id),
    order_id       TEXT    CHECK (length(order_id) BETWEEN 1 AND 64),
    caller_number  TEXT    CHECK (length(caller_number) <= 24),
    owner          TEXT    CHECK (length(owner) BETWEEN 1 AND 64),         -- an operator, or role:NAME
    due_ms         INTEGER NOT NULL,
    reason         TEXT    NOT NULL CHECK (length(reason) <= 500),
    created_ms     INTEGER NOT NULL,
    created_by     TEXT    CHECK (length(created_by) BETWEEN 1 AND 64),    -- who promised it
    taken_ms       INTEGER,
    taken_by       TEXT    CHECK (length(taken_by) BETWEEN 1 AND 64),
    done_ms        INTEGER,
    done_by        TEXT    CHECK (length(done_by) <= 64),
    note           TEXT    CHECK (length(note) BETWEEN 1 AND 500),
    announced_ms   INTEGER,                                                -- when listeners were told of it
    overdue_ms     INTEGER,                                                -- when they were told that it is late
    CHECK (CASE kind WHEN 'quarantined-recording' THEN recording IS NOT NULL AND payment IS NULL
                     WHEN 'promised-call-back' THEN tenant IS NOT NULL AND (payment IS NOT NULL OR order_id IS NOT NULL) AND caller_number IS NOT NULL
                     ELSE payment IS NOT NULL AND tenant IS NOT NULL END),
    CHECK (kind <> 'acquirer-contradicts' OR operation IS NOT NULL),
    CHECK ((state = 'done') = (done_ms IS NOT NULL)),
    CHECK ((taken_by IS NULL) = (taken_ms IS NULL)),
    CHECK (state <> 'taken' OR taken_by IS NOT NULL)
) STRICT;
INSERT INTO tasks_new SELECT * FROM tasks;
DROP TABLE tasks;
ALTER TABLE tasks_new RENAME TO tasks;

CREATE INDEX tasks_due ON tasks (due_ms, id) WHERE state <> 'done';
CREATE INDEX tasks_done ON tasks (done_ms, id) WHERE state = 'done';
CREATE INDEX tasks_not_announced ON tasks (id) WHERE announced_ms IS NULL;
CREATE INDEX tasks_overdue ON tasks (due_ms) WHERE overdue_ms IS NULL AND state <> 'done';
CREATE UNIQUE INDEX tasks_one_of_a_kind ON tasks (payment, kind) WHERE state <> 'done' AND kind <> 'acquirer-contradicts';
CREATE UNIQUE INDEX tasks_one_contradiction ON tasks (operation, reason) WHERE kind = 'acquirer-contradicts';
CREATE UNIQUE INDEX tasks_one_promise ON tasks (tenant, order_id) WHERE payment IS NULL AND order_id IS NOT NULL AND state <> 'done';
