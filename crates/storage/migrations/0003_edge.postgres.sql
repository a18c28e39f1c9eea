-- The same as on SQLite.
ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read,run,manage';
ALTER TABLE api_keys ADD COLUMN requests_per_minute BIGINT;
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;

CREATE TABLE rates (
    key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    minute BIGINT NOT NULL,
    taken  BIGINT NOT NULL
) WITH (fillfactor = 50); -- a row changes many times a minute

CREATE TABLE answers (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    route   TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    asked   BYTEA  NOT NULL,
    status  BIGINT NOT NULL,
    headers TEXT   NOT NULL,
    body    BYTEA  NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (team_id, route, key)
);

CREATE INDEX answers_by_age ON answers (at);

CREATE TABLE audit (
    team_id    TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    seq        BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    who        TEXT   NOT NULL,
    what       TEXT   NOT NULL,
    object     TEXT   NOT NULL,
    before     BYTEA,
    after      BYTEA,
    request_id TEXT,
    hash       BYTEA  NOT NULL,
    PRIMARY KEY (team_id, seq)
);

ALTER TABLE runs ADD COLUMN webhook_origin TEXT COLLATE "C";
ALTER TABLE outbox ADD COLUMN origin TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN state TEXT NOT NULL DEFAULT 'due';
ALTER TABLE outbox ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN claim TEXT;
ALTER TABLE outbox ADD COLUMN body TEXT;
ALTER TABLE outbox ADD COLUMN outcome TEXT;
ALTER TABLE outbox ADD COLUMN settled_at BIGINT;

UPDATE outbox SET state = 'dead', outcome = 'not sent: this server did not deliver webhooks then', settled_at = at;

CREATE INDEX outbox_due ON outbox (origin, due_at) WHERE state = 'due';
CREATE INDEX outbox_dead ON outbox (team_id, id) WHERE state = 'dead';
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE gone (
    team_id TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    url     TEXT COLLATE "C" NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (team_id, url)
);

ALTER TABLE runs ADD COLUMN said_bytes BIGINT NOT NULL DEFAULT 0;

ALTER TABLE teams ADD COLUMN webhook_generation BIGINT NOT NULL DEFAULT 1;
ALTER TABLE teams ADD COLUMN webhook_old_until BIGINT NOT NULL DEFAULT 0;

CREATE TABLE settings (
    name  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE files (
    team_id    TEXT COLLATE "C" NOT NULL REFERENCES teams (id),
    id         TEXT COLLATE "C" NOT NULL,
    name       TEXT COLLATE "C" NOT NULL,
    size       BIGINT NOT NULL,
    sha256     BYTEA  NOT NULL,
    blob       TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, id),
    UNIQUE (team_id, name)
);

CREATE INDEX files_by_blob ON files (team_id, blob);
