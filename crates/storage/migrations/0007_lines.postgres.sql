-- What is due stands in lines, one for each team and origin, so that a team waits for its own receivers only.
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (team_id, origin, due_at) WHERE state = 'due';
