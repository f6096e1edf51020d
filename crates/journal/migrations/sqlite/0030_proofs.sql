-- Who has given somebody what he signs in with: whoever knows it is no second person beside him.
ALTER TABLE people ADD COLUMN password_by TEXT CHECK (length(password_by) BETWEEN 1 AND 64);
ALTER TABLE people ADD COLUMN factor_by TEXT CHECK (length(factor_by) BETWEEN 1 AND 64);
ALTER TABLE people ADD COLUMN confirmed_by TEXT CHECK (length(confirmed_by) BETWEEN 1 AND 64);
CREATE INDEX approvals_by_payment ON approvals (payment);
