-- How a purchase is paid back, and what of it has been taken and given back. Until now every payment was a charge, all at once.
ALTER TABLE payments ADD COLUMN plan TEXT NOT NULL DEFAULT 'lump_sum' CHECK (length(plan) BETWEEN 5 AND 24);
ALTER TABLE payments ADD COLUMN captured_minor INTEGER CHECK (captured_minor > 0);   -- NULL: nothing yet
ALTER TABLE payments ADD COLUMN refunded_minor INTEGER NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0);
UPDATE payments SET captured_minor = amount_minor WHERE state = 'approved';

-- Who asked for an operation behind the call, and by which API call.
ALTER TABLE operations ADD COLUMN by_whom TEXT CHECK (length(by_whom) BETWEEN 1 AND 64);
ALTER TABLE operations ADD COLUMN request_key BLOB CHECK (length(request_key) = 32);
ALTER TABLE operations ADD COLUMN request_hash BLOB CHECK (length(request_hash) = 32);
CREATE UNIQUE INDEX operations_one_a_request ON operations (payment, request_key) WHERE request_key IS NOT NULL;
-- Of captures, voids and refunds of a payment one is open at a time: the amounts that are left are known again when it is answered.
CREATE UNIQUE INDEX operations_one_later ON operations (payment)
    WHERE kind IN ('capture', 'void', 'refund') AND state IN ('in-flight', 'unknown');
