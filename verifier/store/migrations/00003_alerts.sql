-- +goose Up
-- Alerts that alerting systems told of, for alerts signals. ends_at is 0 while
-- an alert fires.
CREATE TABLE alerts (
    source TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    told_at BIGINT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (source, fingerprint, starts_at)
);
CREATE INDEX alerts_place ON alerts (source, service, environment, starts_at);
CREATE INDEX alerts_told ON alerts (told_at);

-- When each alerting system told anything at all, first and last.
CREATE TABLE alert_sources (
    source TEXT PRIMARY KEY,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);
