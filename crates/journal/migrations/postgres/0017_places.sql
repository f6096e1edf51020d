-- How many places of a pool each daemon has given to calls: they count as long as its lease goes on. No row is anything but a number that its
-- daemon knows too, and writes again where it is lost.
CREATE TABLE places (
    pool    text COLLATE "C" NOT NULL CHECK (length(pool) BETWEEN 1 AND 64),
    writer  text COLLATE "C" NOT NULL,
    epoch   bigint NOT NULL,
    taken   bigint NOT NULL CHECK (taken >= 0),
    PRIMARY KEY (pool, writer)
);
