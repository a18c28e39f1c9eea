-- Each delivery changes its row several times, and the row stays for a month: swept up by a small share of it, so that finding what is due stays cheap.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
