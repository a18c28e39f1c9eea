-- See the SQLite file for what each thing is for.

CREATE TABLE data_keys (
    master     TEXT COLLATE "C" NOT NULL,
    number     BIGINT NOT NULL,
    wrapped    BYTEA  NOT NULL,
    retired    BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (master, number)
);

ALTER TABLE builds ADD COLUMN sealed BYTEA;
CREATE INDEX builds_in_clear ON builds (team_id, id) WHERE secrets IS NOT NULL;

ALTER TABLE answers ADD COLUMN sealed BIGINT NOT NULL DEFAULT 0;
