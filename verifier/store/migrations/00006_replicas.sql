-- +goose Up
-- The daemons on this database, each for as long as it is seen: nothing is
-- decided by it, so it is not exported.
CREATE TABLE replicas (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL
);
