-- +goose Up
-- Each record is JSON of the domain's type; the columns beside it are what
-- queries select by. Times are microseconds since 1970, UTC; 0 is never.
CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    irreversible INTEGER NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    place BIGINT NOT NULL, -- order of becoming current; 0 never did
    release_id TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX deployments_place ON deployments (service, environment, place);
CREATE INDEX deployments_release ON deployments (environment, release_id) WHERE release_id <> '';
CREATE INDEX deployments_environment ON deployments (environment, finished_at);
CREATE INDEX deployments_announced ON deployments (source, deployment_id, service, environment) WHERE deployment_id <> '';

CREATE TABLE verifications (
    id TEXT PRIMARY KEY,
    deployment TEXT NOT NULL UNIQUE REFERENCES deployments (id),
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    finished_at BIGINT NOT NULL,
    judged_from BIGINT NOT NULL, -- the end of the warm-up
    place BIGINT NOT NULL, -- of its deployment
    opened_at BIGINT NOT NULL,
    cleared_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    decision TEXT NOT NULL,
    effective TEXT NOT NULL,
    effective_at BIGINT NOT NULL, -- when that was decided
    action_state TEXT NOT NULL,
    action_changed_at BIGINT NOT NULL,
    revert_id TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    automatic_at BIGINT NOT NULL, -- the last request that no person asked for
    record TEXT NOT NULL,
    policy TEXT NOT NULL,
    next_check_at BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    epoch BIGINT NOT NULL
);
CREATE INDEX verifications_due ON verifications (next_check_at) WHERE state IN ('pending', 'observing');
CREATE INDEX verifications_opened ON verifications (opened_at, id);
CREATE INDEX verifications_place ON verifications (service, environment, place);
CREATE INDEX verifications_revert ON verifications (revert_id) WHERE revert_id <> '';
CREATE INDEX verifications_environment ON verifications (environment, finished_at);
CREATE INDEX verifications_open ON verifications (service, environment) WHERE action_state IN ('requested', 'accepted', 'unconfirmed');
CREATE INDEX verifications_awaited ON verifications (requested_at) WHERE action_state IN ('accepted', 'unconfirmed');
CREATE INDEX verifications_automatic ON verifications (automatic_at) WHERE automatic_at > 0;
CREATE INDEX verifications_state ON verifications (state);

CREATE TABLE signals (
    verification TEXT NOT NULL REFERENCES verifications (id),
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    plan TEXT NOT NULL,
    calibration TEXT NOT NULL,
    before TEXT NOT NULL,
    PRIMARY KEY (verification, name)
);

CREATE TABLE observations (
    verification TEXT NOT NULL REFERENCES verifications (id),
    signal TEXT NOT NULL,
    at BIGINT NOT NULL,
    span BIGINT NOT NULL, -- nanoseconds
    outcome TEXT NOT NULL,
    bad DOUBLE PRECISION NOT NULL,
    total DOUBLE PRECISION NOT NULL,
    count DOUBLE PRECISION NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    message TEXT NOT NULL,
    timing TEXT NOT NULL,
    control TEXT NOT NULL,
    PRIMARY KEY (verification, signal, at)
) WITHOUT ROWID;

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    verification TEXT NOT NULL REFERENCES verifications (id),
    kind TEXT NOT NULL,
    receiver TEXT NOT NULL,
    event TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX deliveries_verification ON deliveries (verification, created_at);
CREATE INDEX deliveries_unsent ON deliveries (created_at) WHERE state IN ('pending', 'retryable');

CREATE TABLE attempts (
    delivery TEXT NOT NULL REFERENCES deliveries (id),
    at BIGINT NOT NULL,
    duration BIGINT NOT NULL, -- nanoseconds
    status INTEGER NOT NULL,
    result TEXT NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (delivery, at)
);

CREATE TABLE intake_keys (
    source TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    deployment TEXT NOT NULL REFERENCES deployments (id),
    verification TEXT NOT NULL,
    ignored TEXT NOT NULL,
    PRIMARY KEY (source, delivery_id)
);
CREATE INDEX intake_keys_received ON intake_keys (received_at);

-- Decisions of people, chained by verifier.AuditEntry. Freezes, marks and
-- releases of the brake are read out of it: what holds is what is recorded.
CREATE TABLE audit (
    seq BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    decided_by TEXT NOT NULL,
    action TEXT NOT NULL,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    subject TEXT NOT NULL,
    decision TEXT NOT NULL,
    until BIGINT NOT NULL,
    reason TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
);
-- Holds nothing: what decides by others' rows locks it first, on databases
-- where transactions write side by side.
CREATE TABLE deciding (holds INTEGER);

CREATE INDEX audit_place ON audit (action, service, environment);
