-- What the MCP servers of a Build offered when they were first asked. Written once.
CREATE TABLE pins (
    team_id   TEXT COLLATE "C" NOT NULL,
    build_id  TEXT COLLATE "C" NOT NULL,
    server    TEXT COLLATE "C" NOT NULL, -- its server_label
    offer     TEXT NOT NULL,
    pinned_at BIGINT NOT NULL,
    PRIMARY KEY (team_id, build_id, server),
    FOREIGN KEY (team_id, build_id) REFERENCES builds (team_id, id)
);

ALTER TABLE human_requests ADD COLUMN expires_at BIGINT;
CREATE INDEX human_requests_expiring ON human_requests (expires_at) WHERE closed_at IS NULL AND expires_at IS NOT NULL;
