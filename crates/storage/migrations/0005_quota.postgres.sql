-- The same as on SQLite.

ALTER TABLE sandboxes ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE teams ADD COLUMN file_bytes BIGINT NOT NULL DEFAULT 0;
UPDATE teams SET file_bytes = (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM files WHERE files.team_id = teams.id);
