-- Of which connector an operation was asked: another one than the payment's first, where that one was not reached.
ALTER TABLE operations ADD COLUMN connector TEXT CHECK (length(connector) BETWEEN 1 AND 64);
UPDATE operations SET connector = (SELECT p.connector FROM payments p WHERE p.id = operations.payment);
-- Whether the connector was named by whoever announced the payment; else the merchant's routes say which.
ALTER TABLE payments ADD COLUMN connector_named INTEGER NOT NULL DEFAULT 0 CHECK (connector_named IN (0, 1));
