-- Announced by an operator's keys. Its origin is api: it lives as one that was announced by API.
ALTER TABLE payments ADD COLUMN desk INTEGER NOT NULL DEFAULT 0 CHECK (desk IN (0, 1) AND (desk = 0 OR origin = 'api'));
