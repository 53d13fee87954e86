-- +goose Up
-- What people and pipelines said of a release before it was deployed. Each is
-- an entry of the audit trail; the record has what the entry says in words.
CREATE TABLE gate_words (
    seq BIGINT PRIMARY KEY REFERENCES audit (seq),
    id TEXT NOT NULL UNIQUE,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX gate_words_release ON gate_words (service, version, environment, seq);

-- What the gate answered, a row for each answer that differs from the one
-- before it about the same release.
CREATE TABLE gate_decisions (
    id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    at BIGINT NOT NULL,
    last_at BIGINT NOT NULL, -- when the same was answered last
    decision TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX gate_decisions_release ON gate_decisions (service, version, environment, at);
CREATE INDEX gate_decisions_place ON gate_decisions (service, environment, at);
CREATE INDEX gate_decisions_last ON gate_decisions (last_at);

CREATE INDEX verifications_version ON verifications (service, version, environment);
CREATE INDEX audit_vote ON audit (subject) WHERE action = 'vote';
