-- The same as on SQLite.
CREATE INDEX work_by_team ON work (team_id, due_at);

ALTER TABLE work ADD COLUMN needs BIGINT NOT NULL DEFAULT 0;
ALTER TABLE work ADD COLUMN claimed_at BIGINT;
ALTER TABLE work ADD COLUMN probations BIGINT NOT NULL DEFAULT 0;

CREATE INDEX work_taken ON work (attempt) WHERE attempt > 0;

CREATE INDEX runs_moving ON runs (id) WHERE status IN ('pending', 'starting', 'running');

CREATE TABLE outbox (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id TEXT COLLATE "C" NOT NULL,
    run_id  TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    event   TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    UNIQUE (run_id, seq, event),
    FOREIGN KEY (team_id, run_id) REFERENCES runs (team_id, id)
);
