-- Whose a call and a paused recorder is, for whoever makes good what a daemon has left that is gone.
ALTER TABLE calls ADD COLUMN writer text COLLATE "C";
ALTER TABLE calls ADD COLUMN epoch bigint;
ALTER TABLE recorder_pauses ADD COLUMN writer text COLLATE "C";
ALTER TABLE recorder_pauses ADD COLUMN epoch bigint;

-- Until when a daemon counts as alive, by the database's clock; 0: it has ended.
ALTER TABLE writers ADD COLUMN lease_ms bigint NOT NULL DEFAULT 0;
-- The process, by which another start on the same machine can tell that it is gone.
ALTER TABLE writers ADD COLUMN instance text COLLATE "C";
