-- Who is about to delete the file of a recording: written before it goes, so that nothing is deleted that nobody wrote down. Stays.
ALTER TABLE recordings ADD COLUMN deleting_by TEXT CHECK (length(deleting_by) BETWEEN 1 AND 64);
