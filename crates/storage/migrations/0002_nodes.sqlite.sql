-- What several workers need, and what proves that nothing is stuck.

-- Each team's own line, so that a long one holds up no other.
CREATE INDEX work_by_team ON work (team_id, due_at);

-- The journal's version that a worker must know to move this run: nodes of two versions may work side by side.
ALTER TABLE work ADD COLUMN needs INTEGER NOT NULL DEFAULT 0;

-- Since when its worker has it.
ALTER TABLE work ADD COLUMN claimed_at INTEGER;

-- How often it was tried alone, because its workers had died.
ALTER TABLE work ADD COLUMN probations INTEGER NOT NULL DEFAULT 0;

-- Runs whose workers died are looked for at each claim.
CREATE INDEX work_taken ON work (attempt) WHERE attempt > 0;

-- Runs that should be moving: each has a row in `work`, which is looked after every minute. Those that wait or have ended are not in it.
CREATE INDEX runs_moving ON runs (id) WHERE status IN ('pending', 'starting', 'running');

-- What somebody outside is to be told: written in the commit that made it true.
CREATE TABLE outbox (
    id      INTEGER NOT NULL PRIMARY KEY,
    team_id TEXT    NOT NULL,
    run_id  TEXT    NOT NULL,
    seq     INTEGER NOT NULL, -- the journal's entry that it is about
    event   TEXT    NOT NULL, -- human_request, run_completed, run_failed or run_interrupted
    at      INTEGER NOT NULL,
    UNIQUE (run_id, seq, event),
    FOREIGN KEY (team_id, run_id) REFERENCES runs (team_id, id)
) STRICT;
