-- What the MCP servers of a Build offered when they were first asked. Written once.
CREATE TABLE pins (
    team_id   TEXT NOT NULL,
    build_id  TEXT NOT NULL,
    server    TEXT NOT NULL, -- its server_label
    offer     TEXT NOT NULL,
    pinned_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, build_id, server),
    FOREIGN KEY (team_id, build_id) REFERENCES builds (team_id, id)
) STRICT, WITHOUT ROWID;

ALTER TABLE human_requests ADD COLUMN expires_at INTEGER;
CREATE INDEX human_requests_expiring ON human_requests (expires_at) WHERE closed_at IS NULL AND expires_at IS NOT NULL;
