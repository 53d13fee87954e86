-- +goose Up
-- Feedback on verdicts is read out of the audit trail, by the verification that
-- it is about.
CREATE INDEX audit_feedback ON audit (subject) WHERE action = 'feedback';
