-- Who may do what, how often, and what was done.

ALTER TABLE api_keys ADD COLUMN scopes TEXT NOT NULL DEFAULT 'read,run,manage';
ALTER TABLE api_keys ADD COLUMN requests_per_minute INTEGER;
ALTER TABLE api_keys ADD COLUMN expires_at INTEGER;
ALTER TABLE api_keys ADD COLUMN last_used_at INTEGER;

-- Requests that nodes have taken out of a key's current minute. Only where there may be several nodes.
CREATE TABLE rates (
    key_id TEXT    NOT NULL PRIMARY KEY,
    minute INTEGER NOT NULL,
    taken  INTEGER NOT NULL
) STRICT;

-- Answers to requests with an Idempotency-Key, for those that ask again. Written with what the request changed.
CREATE TABLE answers (
    team_id TEXT    NOT NULL REFERENCES teams (id),
    route   TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    asked   BLOB    NOT NULL, -- SHA-256 of the request's body
    status  INTEGER NOT NULL,
    headers TEXT    NOT NULL,
    body    BLOB    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (team_id, route, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX answers_by_age ON answers (at);

-- Only ever inserted into; each row's hash covers the one before.
CREATE TABLE audit (
    team_id    TEXT    NOT NULL REFERENCES teams (id),
    seq        INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    who        TEXT    NOT NULL,
    what       TEXT    NOT NULL,
    object     TEXT    NOT NULL,
    before     BLOB,
    after      BLOB,
    request_id TEXT,
    hash       BLOB    NOT NULL,
    PRIMARY KEY (team_id, seq)
) STRICT, WITHOUT ROWID;

-- Webhooks. A row of the outbox is due until it is delivered or given up; meanwhile it is tried by whoever has claimed it. `origin` is scheme, host
-- and port of its URL: what is slow there must not hold up others.
ALTER TABLE runs ADD COLUMN webhook_origin TEXT;
ALTER TABLE outbox ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN state TEXT NOT NULL DEFAULT 'due';
ALTER TABLE outbox ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN claim TEXT;
ALTER TABLE outbox ADD COLUMN body TEXT;
ALTER TABLE outbox ADD COLUMN outcome TEXT;
ALTER TABLE outbox ADD COLUMN settled_at INTEGER;

-- What earlier versions wrote and did not send is not sent years later.
UPDATE outbox SET state = 'dead', outcome = 'not sent: this server did not deliver webhooks then', settled_at = at;

CREATE INDEX outbox_due ON outbox (origin, due_at) WHERE state = 'due';
CREATE INDEX outbox_dead ON outbox (team_id, id) WHERE state = 'dead';
CREATE INDEX outbox_settled ON outbox (settled_at) WHERE settled_at IS NOT NULL;

-- URLs whose owner said that nobody is there any more (410).
CREATE TABLE gone (
    team_id TEXT NOT NULL REFERENCES teams (id),
    url     TEXT NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (team_id, url)
) STRICT, WITHOUT ROWID;

-- What people have said to a run, in bytes: it is all read whenever the run goes on.
ALTER TABLE runs ADD COLUMN said_bytes INTEGER NOT NULL DEFAULT 0;

ALTER TABLE teams ADD COLUMN webhook_generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE teams ADD COLUMN webhook_old_until INTEGER NOT NULL DEFAULT 0;

-- What all nodes of a server share.
CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Team files. Their bytes lie among the sandboxes, under the name in `blob`, which is another one whenever a file is replaced.
CREATE TABLE files (
    team_id    TEXT    NOT NULL REFERENCES teams (id),
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    sha256     BLOB    NOT NULL,
    blob       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, id),
    UNIQUE (team_id, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX files_by_blob ON files (team_id, blob);
