-- What the merchant's system says of a payment, for its people and for itself: none of it is asked of an acquirer.
ALTER TABLE payments ADD COLUMN description text COLLATE "C" CHECK (length(description) BETWEEN 1 AND 200);
ALTER TABLE payments ADD COLUMN parameters text COLLATE "C" CHECK (length(parameters) BETWEEN 2 AND 16384);
-- Payments are searched by who called and by the card's last four.
CREATE INDEX payments_by_caller ON payments (tenant, match_caller_number) WHERE match_caller_number IS NOT NULL;
CREATE INDEX payments_by_last4 ON payments (tenant, last4) WHERE last4 IS NOT NULL;
