-- The first schema. Ids are UUIDs as text, times UTC milliseconds, JSON text. Every row that a person can name belongs to a team, and its key
-- begins with it, so that a foreign reference cannot be stored.

CREATE TABLE teams (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    -- Counters, since count(*) over a large team would make every list slow.
    agent_count INTEGER NOT NULL DEFAULT 0,
    run_count   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE api_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    team_id    TEXT    NOT NULL REFERENCES teams (id),
    name       TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- UUIDv7 begins with the time of creation, so the key's order is the order of creation.
CREATE TABLE agents (
    team_id     TEXT    NOT NULL REFERENCES teams (id),
    id          TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    build_count INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (team_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE builds (
    team_id         TEXT    NOT NULL,
    id              TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL,
    revision_number INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    config          TEXT    NOT NULL, -- normalised, as served
    submitted       TEXT    NOT NULL, -- as it came, header values redacted
    secrets         TEXT,             -- header values of its MCP tools
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (team_id, id),
    UNIQUE (team_id, agent_id, revision_number),
    FOREIGN KEY (team_id, agent_id) REFERENCES agents (team_id, id)
) STRICT;

CREATE TABLE sandboxes (
    team_id    TEXT    NOT NULL REFERENCES teams (id),
    id         TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, id)
) STRICT, WITHOUT ROWID;

-- What readers see of a run. The truth is its journal; this row is written with it, in the same commit.
CREATE TABLE runs (
    team_id       TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    agent_id      TEXT    NOT NULL,
    build_id      TEXT    NOT NULL,
    sandbox_id    TEXT    NOT NULL,
    number        INTEGER NOT NULL, -- 1, 2, 3, … within the team
    title         TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    webhook_url   TEXT,
    status        TEXT    NOT NULL,
    prompt_count  INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL,
    message_count INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    started_at    INTEGER,
    completed_at  INTEGER,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, agent_id) REFERENCES agents (team_id, id),
    FOREIGN KEY (team_id, build_id) REFERENCES builds (team_id, id),
    FOREIGN KEY (team_id, sandbox_id) REFERENCES sandboxes (team_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_agent ON runs (team_id, agent_id, id);
-- Whether a sandbox is still needed, and the foreign key's own check when one is deleted: both would scan all runs of the team.
CREATE INDEX runs_by_sandbox ON runs (team_id, sandbox_id);

CREATE TABLE journal (
    run_id  TEXT    NOT NULL,
    seq     INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    private TEXT,    -- what a provider wants back unchanged; never shown
    message INTEGER, -- its place in the public transcript, from 0
    PRIMARY KEY (run_id, seq)
) STRICT, WITHOUT ROWID;

-- Runs that somebody works on or should: small, and nothing else is. No claim: free to take once due. With one: taken, and due again when the
-- lease ends.
CREATE TABLE work (
    run_id  TEXT    NOT NULL PRIMARY KEY,
    team_id TEXT    NOT NULL,
    due_at  INTEGER NOT NULL,
    claim   TEXT,
    attempt INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX work_due ON work (due_at);

-- What people and timers have to say to a run, until its worker journals it.
-- An id never comes back: a worker that takes by id must not take what came later.
CREATE TABLE inbox (
    id     INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id TEXT    NOT NULL,
    kind   TEXT    NOT NULL,
    body   TEXT    NOT NULL
) STRICT;

CREATE INDEX inbox_by_run ON inbox (run_id, id);

CREATE TABLE human_requests (
    team_id      TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    run_id       TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    closed_at    INTEGER, -- answered, or overtaken by a message or a stop
    response     TEXT,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, run_id) REFERENCES runs (team_id, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX human_requests_open ON human_requests (team_id, run_id) WHERE closed_at IS NULL;
