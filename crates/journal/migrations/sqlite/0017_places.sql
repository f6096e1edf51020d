-- How many places of a pool each daemon has given to calls. Empty here: a file has one daemon, which knows them.
CREATE TABLE places (
    pool    TEXT    NOT NULL CHECK (length(pool) BETWEEN 1 AND 64),
    writer  TEXT    NOT NULL,
    epoch   INTEGER NOT NULL,
    taken   INTEGER NOT NULL CHECK (taken >= 0),
    PRIMARY KEY (pool, writer)
) STRICT;
