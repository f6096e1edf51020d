-- What is taken out is found, and its references are looked for, without reading whole tables under the right to write.
CREATE INDEX records_by_operation ON records (operation) WHERE operation IS NOT NULL;
CREATE INDEX records_anchored ON records (at_ms) WHERE kind = 'anchored';
CREATE INDEX operations_by_parent ON operations (parent) WHERE parent IS NOT NULL;
CREATE INDEX tasks_by_payment ON tasks (payment);
CREATE INDEX tasks_by_operation ON tasks (operation);
CREATE INDEX calls_by_payment ON calls (payment);
CREATE INDEX audit_by_payment ON audit (payment);
CREATE INDEX payments_by_age ON payments (tenant, updated_ms);
