-- +goose Up
-- Whose vote an observation is; '' where it is measured.
ALTER TABLE observations ADD COLUMN voter TEXT NOT NULL DEFAULT '';
