-- A payment that its customer, or the acquirer, disputes: nothing of it is given back by another way until somebody says that this is over.
ALTER TABLE payments ADD COLUMN disputed_ms INTEGER;
ALTER TABLE payments ADD COLUMN disputed_by TEXT CHECK (length(disputed_by) BETWEEN 1 AND 64);
ALTER TABLE payments ADD COLUMN dispute_reason TEXT CHECK (length(dispute_reason) BETWEEN 1 AND 500);
CREATE INDEX payments_disputed ON payments (tenant, id) WHERE disputed_ms IS NOT NULL;
