-- Whose an event is, what came of the last try to deliver it, and when. One is delivered behind those of its payment that are before it.
ALTER TABLE outbox ADD COLUMN tenant text COLLATE "C";
ALTER TABLE outbox ADD COLUMN error text COLLATE "C" CHECK (length(error) <= 200);
ALTER TABLE outbox ADD COLUMN tried_ms bigint;
ALTER TABLE outbox ADD COLUMN again_ms bigint;            -- when somebody had it delivered again

-- Nobody was told anything before: what is there waits for nobody, and has older names.
UPDATE outbox SET tenant = (SELECT tenant FROM payments WHERE id = outbox.payment), given_up_ms = created_ms, error = 'older than webhooks';

-- A merchant who is told nothing has all of his for ever: the others do not look through them.
DROP INDEX IF EXISTS outbox_due;
CREATE INDEX outbox_open ON outbox (tenant, due_ms) WHERE delivered_ms IS NULL AND given_up_ms IS NULL;
CREATE INDEX outbox_given_up ON outbox (tenant) WHERE delivered_ms IS NULL AND given_up_ms IS NOT NULL;
