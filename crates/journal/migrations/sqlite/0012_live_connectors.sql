-- Connectors by which money moves, as they were when they were last taken: a merchant's money and his open operations are at that place.
-- Nothing secret: of settings a digest, of credentials where they lie and when they were written.
CREATE TABLE live_connectors (
    name         TEXT    NOT NULL PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 64),
    kind         TEXT    NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    url          TEXT    NOT NULL CHECK (length(url) <= 2048),
    live         INTEGER NOT NULL CHECK (live IN (0, 1)),
    settings     TEXT    NOT NULL CHECK (json_valid(settings)),
    credentials  TEXT    NOT NULL CHECK (json_valid(credentials)),
    since_ms     INTEGER NOT NULL,
    changed_ms   INTEGER,
    changed_by   TEXT    CHECK (length(changed_by) BETWEEN 1 AND 64)
) STRICT;

CREATE INDEX operations_by_connector ON operations (connector);
