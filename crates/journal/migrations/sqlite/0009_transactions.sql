-- What a payment is for; until now every one was a charge. A card that the acquirer has is charged by its name for it.
ALTER TABLE payments ADD COLUMN transaction_type TEXT NOT NULL DEFAULT 'charge'
    CHECK (transaction_type IN ('authorize', 'charge', 'tokenize', 'verify'));
ALTER TABLE payments ADD COLUMN token TEXT CHECK (length(token) BETWEEN 1 AND 128);
ALTER TABLE payments ADD COLUMN token_brand TEXT CHECK (length(token_brand) <= 16);
ALTER TABLE payments ADD COLUMN token_last4 TEXT CHECK (length(token_last4) = 4 AND token_last4 NOT GLOB '*[^0-9]*');
-- A merchant charges a card that was stored here by its token alone.
CREATE INDEX payments_stored ON payments (tenant, acquirer_ref) WHERE transaction_type = 'tokenize' AND state = 'approved';

-- One operation that takes a card may be open or done, whatever it asks.
DROP INDEX operations_one_charge;
CREATE UNIQUE INDEX operations_one_charge ON operations (payment)
    WHERE kind IN ('authorize', 'charge', 'tokenize', 'verify') AND state IN ('in-flight', 'unknown', 'approved');

-- An order that was paid is paid once. A customer's card may be stored, or checked, as often as he likes, under the same number.
DROP INDEX payments_one_an_order;
CREATE UNIQUE INDEX payments_one_an_order ON payments (tenant, order_id, part)
    WHERE order_id IS NOT NULL AND (state IN ('waiting', 'in-flight', 'unknown')
        OR (state = 'approved' AND transaction_type IN ('authorize', 'charge')));
