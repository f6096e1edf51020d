-- What is unknown is asked about by itself, and an approval that nobody knows of may be released again.
ALTER TABLE operations ADD COLUMN inquired INTEGER NOT NULL DEFAULT 0 CHECK (inquired >= 0);   -- how often its acquirer was asked about it
ALTER TABLE operations ADD COLUMN inquire_ms INTEGER;                                          -- when he is asked next; NULL: not by itself
UPDATE operations SET inquire_ms = 0 WHERE state = 'unknown' AND kind <> 'query';
CREATE INDEX operations_to_inquire ON operations (connector, inquire_ms, id) WHERE inquire_ms IS NOT NULL;

CREATE TABLE releases (
    payment    TEXT    NOT NULL PRIMARY KEY REFERENCES payments (id),
    wanted_ms  INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL      -- when it is tried
) STRICT;
