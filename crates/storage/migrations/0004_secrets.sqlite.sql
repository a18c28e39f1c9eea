-- Secrets are sealed before they are stored (see `domain::master_key`).

-- What they are sealed with, wrapped in each master key that may open them.
CREATE TABLE data_keys (
    master     TEXT    NOT NULL, -- the master key's id
    number     INTEGER NOT NULL,
    wrapped    BLOB    NOT NULL,
    retired    INTEGER NOT NULL DEFAULT 0, -- opens what is there and seals nothing new
    created_at INTEGER NOT NULL,
    PRIMARY KEY (master, number)
) STRICT;

-- Header values of the Build's MCP tools. What `secrets` has in clear is moved here by the next start.
ALTER TABLE builds ADD COLUMN sealed BLOB;
CREATE INDEX builds_in_clear ON builds (team_id, id) WHERE secrets IS NOT NULL;

-- Whether `body` is sealed.
ALTER TABLE answers ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
