-- What a team's files take up: see `storage/quota.rs`.

-- Bytes of its files when they were last looked at.
ALTER TABLE sandboxes ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
-- The sum of these and of the team's own files, kept in step with both.
ALTER TABLE teams ADD COLUMN file_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE teams SET file_bytes = (SELECT coalesce(sum(size), 0) FROM files WHERE files.team_id = teams.id);
