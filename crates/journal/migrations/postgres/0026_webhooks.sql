-- What came of the last try to deliver an event, and when. An event is delivered behind those of its payment that are before it.
ALTER TABLE outbox ADD COLUMN error text COLLATE "C" CHECK (length(error) <= 200);
ALTER TABLE outbox ADD COLUMN tried_ms bigint;
ALTER TABLE outbox ADD COLUMN again_ms bigint;             -- when somebody had it delivered again

CREATE INDEX outbox_given_up ON outbox (given_up_ms) WHERE given_up_ms IS NOT NULL;
