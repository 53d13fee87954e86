-- +goose Up
-- What a receiver calls the message that an attempt brought, where it can be
-- changed later on.
ALTER TABLE attempts ADD COLUMN reference TEXT NOT NULL DEFAULT '';
-- How many messages a receiver took of late.
CREATE INDEX attempts_at ON attempts (at);
