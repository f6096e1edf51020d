-- How it is to be paid back, where that was settled before the call; else the caller chooses.
ALTER TABLE payments ADD COLUMN asked_plan TEXT CHECK (length(asked_plan) BETWEEN 5 AND 24);
