-- Whose a call and a paused recorder is, for the start that makes good what a process has left; those of before are of one that is gone.
ALTER TABLE calls ADD COLUMN writer TEXT;
ALTER TABLE calls ADD COLUMN epoch INTEGER;
ALTER TABLE recorder_pauses ADD COLUMN writer TEXT;
ALTER TABLE recorder_pauses ADD COLUMN epoch INTEGER;

-- Until when a writer counts as alive, by the database's clock. Always 0 here: a file has one writer, and its lock says whether that lives.
ALTER TABLE writers ADD COLUMN lease_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE writers ADD COLUMN instance TEXT;
