-- What is reserved instead of a payment's amount, where that was changed before anything was taken.
ALTER TABLE payments ADD COLUMN reserved_minor INTEGER CHECK (reserved_minor > 0);
-- Such a change has the kind of the capture, beside which it is not open either, and this mark.
ALTER TABLE operations ADD COLUMN changes INTEGER NOT NULL DEFAULT 0 CHECK (changes IN (0, 1) AND (changes = 0 OR kind = 'capture'));
