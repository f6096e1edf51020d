-- A number of eight digits at most that a caller without an operator is told, and can name when he calls again.
ALTER TABLE payments ADD COLUMN reference INTEGER CHECK (reference BETWEEN 1 AND 99999999);
CREATE UNIQUE INDEX payments_reference ON payments (reference) WHERE reference IS NOT NULL;
INSERT INTO counters (name, value) VALUES ('reference', 0);
