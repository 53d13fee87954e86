-- +goose Up
-- When the observations and calibrations of a verification were dropped: 0 not
-- yet, -1 they are being dropped.
ALTER TABLE verifications ADD COLUMN evidence_dropped_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX verifications_evidence ON verifications (opened_at) WHERE evidence_dropped_at <= 0;

-- What retention looks for, and what a delete has to ask.
CREATE INDEX deployments_received ON deployments (received_at);
CREATE INDEX intake_keys_deployment ON intake_keys (deployment);

-- The automatic reverts of a place, which its caps count.
CREATE INDEX verifications_reverts ON verifications (service, environment, place) WHERE automatic_at > 0;
