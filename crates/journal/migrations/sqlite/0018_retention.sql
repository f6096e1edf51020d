-- A record may lose its content when its payment's time is over, and nothing else of it ever changes.
DROP TRIGGER records_are_never_changed;
CREATE TRIGGER records_are_never_changed BEFORE UPDATE ON records
WHEN NOT (NEW.body = 'null' AND NEW.payment IS NULL AND NEW.operation IS NULL AND OLD.payment IS NOT NULL
    AND NEW.sequence = OLD.sequence AND NEW.kind = OLD.kind AND NEW.writer = OLD.writer AND NEW.number = OLD.number
    AND NEW.epoch = OLD.epoch AND NEW.version = OLD.version AND NEW.at_ms = OLD.at_ms AND NEW.hash = OLD.hash AND NEW.prev_hash = OLD.prev_hash)
BEGIN SELECT RAISE(ABORT, 'records are append-only'); END;
CREATE INDEX records_retention ON records (kind) WHERE kind = 'retention';
