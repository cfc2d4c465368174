-- People, their sessions, and the throttle of sign-ins.

CREATE TABLE member (
    member_id                uuid PRIMARY KEY,
    email                    text NOT NULL,
    name                     text NOT NULL,
    operator                 boolean NOT NULL DEFAULT false,
    password_hash            text NOT NULL,
    password_change_required boolean NOT NULL DEFAULT false,
    created_at               timestamptz NOT NULL,
    updated_at               timestamptz NOT NULL,
    revision                 bigint NOT NULL DEFAULT 1,
    CONSTRAINT member_email_key UNIQUE (email)
);

CREATE TABLE session (
    -- SHA-256 of the token: what leaks from here signs nobody in.
    token_sha256 bytea PRIMARY KEY,
    member_id    uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX session_member_id_idx ON session (member_id);
CREATE INDEX session_expires_at_idx ON session (expires_at);

CREATE TABLE challenge (
    challenge_sha256 bytea PRIMARY KEY,
    member_id        uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    expires_at       timestamptz NOT NULL
);
CREATE INDEX challenge_expires_at_idx ON challenge (expires_at);
CREATE INDEX challenge_member_id_idx ON challenge (member_id);

CREATE TABLE sign_in_throttle (
    -- An account or an address, hashed.
    subject    bytea PRIMARY KEY,
    attempts   bigint NOT NULL,
    window_end timestamptz NOT NULL
);
CREATE INDEX sign_in_throttle_window_end_idx ON sign_in_throttle (window_end);
