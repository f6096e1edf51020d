-- A record may lose its content when its payment's time is over, and nothing else of it ever changes.
CREATE OR REPLACE FUNCTION records_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.body = 'null' AND NEW.payment IS NULL AND NEW.operation IS NULL AND OLD.payment IS NOT NULL
            AND NEW.sequence = OLD.sequence AND NEW.kind = OLD.kind AND NEW.writer = OLD.writer AND NEW.number = OLD.number
            AND NEW.epoch = OLD.epoch AND NEW.version = OLD.version AND NEW.at_ms = OLD.at_ms AND NEW.hash = OLD.hash
            AND NEW.prev_hash = OLD.prev_hash
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'records are append-only';
END $$;
CREATE INDEX records_retention ON records (kind) WHERE kind = 'retention';
