-- +goose Up
-- Pipelines elsewhere that wait to be told what the gate says.
CREATE TABLE gate_requests (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    request_key TEXT NOT NULL, -- what the source knows it by
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    next_at BIGINT NOT NULL, -- when it is looked at next
    epoch BIGINT NOT NULL, -- of who looks at it
    record TEXT NOT NULL,
    UNIQUE (source, request_key)
);
CREATE INDEX gate_requests_due ON gate_requests (next_at) WHERE state IN ('waiting', 'answering');
CREATE INDEX gate_requests_release ON gate_requests (service, version, environment) WHERE state = 'waiting';
CREATE INDEX gate_requests_received ON gate_requests (received_at);
