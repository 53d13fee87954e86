-- +goose Up
-- Tickets that were pushed to a feed.
CREATE TABLE tickets (
    feed TEXT NOT NULL,
    id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    reporter TEXT NOT NULL,
    tags TEXT NOT NULL, -- JSON list
    received_at BIGINT NOT NULL,
    PRIMARY KEY (feed, id)
) WITHOUT ROWID;
CREATE INDEX tickets_created ON tickets (feed, created_at);

-- What feeds told of the past, so that no verification asks for it again.
CREATE TABLE ticket_counts (
    feed TEXT NOT NULL,
    question TEXT NOT NULL, -- digest of what was asked, but for the times
    span BIGINT NOT NULL, -- nanoseconds
    at BIGINT NOT NULL, -- end of the span
    count DOUBLE PRECISION NOT NULL,
    read_at BIGINT NOT NULL,
    PRIMARY KEY (feed, question, span, at)
) WITHOUT ROWID;
