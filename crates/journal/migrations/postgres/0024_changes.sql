-- What is reserved instead of a payment's amount, where that was changed before anything was taken.
ALTER TABLE payments ADD COLUMN reserved_minor bigint CHECK (reserved_minor > 0);
-- Such a change has the kind of the capture, beside which it is not open either, and this mark.
ALTER TABLE operations ADD COLUMN changes boolean NOT NULL DEFAULT false CHECK (NOT changes OR kind = 'capture');
