-- The first schema, as on SQLite: ids are UUIDs as text, times UTC milliseconds, JSON text. Text is compared byte by byte ("C"), so that both
-- engines sort alike.

-- The time by which leases are given and end: this server's, whatever its clients' clocks say. SQLite is given a function of the same name.
-- Called stable, so that an index can serve `due_at <= errand_now()`: within one statement it may stand still.
CREATE FUNCTION errand_now() RETURNS BIGINT LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) $$;

CREATE TABLE teams (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name        TEXT   NOT NULL,
    created_at  BIGINT NOT NULL,
    agent_count BIGINT NOT NULL DEFAULT 0,
    run_count   BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50); -- counters change in place

CREATE TABLE api_keys (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    team_id    TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    name       TEXT   NOT NULL,
    hash       BYTEA  NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE agents (
    team_id     TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    id          TEXT COLLATE "C" NOT NULL,
    name        TEXT   NOT NULL,
    build_count BIGINT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (team_id, id)
);

CREATE TABLE builds (
    team_id         TEXT COLLATE "C" NOT NULL,
    id              TEXT COLLATE "C" NOT NULL,
    agent_id        TEXT COLLATE "C" NOT NULL,
    revision_number BIGINT NOT NULL,
    name            TEXT   NOT NULL,
    config          TEXT   NOT NULL,
    submitted       TEXT   NOT NULL,
    secrets         TEXT,
    created_at      BIGINT NOT NULL,
    PRIMARY KEY (team_id, id),
    UNIQUE (team_id, agent_id, revision_number),
    FOREIGN KEY (team_id, agent_id) REFERENCES agents (team_id, id)
);

CREATE TABLE sandboxes (
    team_id    TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    id         TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, id)
);

CREATE TABLE runs (
    team_id       TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    agent_id      TEXT COLLATE "C" NOT NULL,
    build_id      TEXT COLLATE "C" NOT NULL,
    sandbox_id    TEXT COLLATE "C" NOT NULL,
    number        BIGINT NOT NULL,
    title         TEXT COLLATE "C" NOT NULL,
    source        TEXT   NOT NULL,
    webhook_url   TEXT,
    status        TEXT   NOT NULL,
    prompt_count  BIGINT NOT NULL,
    last_seq      BIGINT NOT NULL,
    message_count BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL,
    started_at    BIGINT,
    completed_at  BIGINT,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, agent_id) REFERENCES agents (team_id, id),
    FOREIGN KEY (team_id, build_id) REFERENCES builds (team_id, id),
    FOREIGN KEY (team_id, sandbox_id) REFERENCES sandboxes (team_id, id)
) WITH (fillfactor = 70); -- a run's row changes with each of its commits

CREATE INDEX runs_by_agent ON runs (team_id, agent_id, id);
CREATE INDEX runs_by_sandbox ON runs (team_id, sandbox_id);

-- Only ever inserted into.
CREATE TABLE journal (
    run_id  TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    kind    TEXT   NOT NULL,
    body    TEXT   NOT NULL,
    private TEXT,
    message BIGINT,
    PRIMARY KEY (run_id, seq)
);

-- Small, and every row of it short-lived: swept up often, so that finding work stays cheap.
CREATE TABLE work (
    run_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    team_id TEXT COLLATE "C" NOT NULL,
    due_at  BIGINT NOT NULL,
    claim   TEXT,
    attempt BIGINT NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0);

CREATE INDEX work_due ON work (due_at);

-- Entries of one run are numbered in the order of their commits: whoever writes one holds the run until then.
CREATE TABLE inbox (
    id     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id TEXT COLLATE "C" NOT NULL,
    kind   TEXT NOT NULL,
    body   TEXT NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX inbox_by_run ON inbox (run_id, id);

CREATE TABLE human_requests (
    team_id    TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    run_id     TEXT COLLATE "C" NOT NULL,
    body       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    closed_at  BIGINT,
    response   TEXT,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, run_id) REFERENCES runs (team_id, id)
);

CREATE INDEX human_requests_open ON human_requests (team_id, run_id) WHERE closed_at IS NULL;
