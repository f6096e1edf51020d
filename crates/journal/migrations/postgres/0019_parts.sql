-- Of an order that is split over several cards some parts are paid and others are not: somebody's task.
ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_kind_check CHECK (kind IN ('acquirer-contradicts', 'approved-caller-gone', 'expiring-authorization',
    'promised-call-back', 'quarantined-recording', 'unfinished-split', 'unknown-outcome'));
