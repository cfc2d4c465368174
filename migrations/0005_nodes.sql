-- Nodes, and the right to become one.

CREATE TABLE node (
    node_id          uuid PRIMARY KEY,
    name             text NOT NULL,
    -- SHA-256 of the secret that the node itself has drawn.
    secret_sha256    bytea NOT NULL,
    version          text NOT NULL,
    format_version   integer NOT NULL,
    -- How far its configuration is: none before its first export.
    timeline         uuid,
    generation       bigint,
    urgent_timeline  uuid,
    urgent_sequence  bigint NOT NULL DEFAULT 0,
    connections      jsonb NOT NULL DEFAULT '{}',
    last_seen_at     timestamptz NOT NULL,
    created_at       timestamptz NOT NULL
);

CREATE TABLE join_token (
    join_token_id uuid PRIMARY KEY,
    secret_sha256 bytea NOT NULL,
    expires_at    timestamptz NOT NULL,
    node_id       uuid REFERENCES node ON DELETE CASCADE,
    created_at    timestamptz NOT NULL
);
CREATE INDEX join_token_expires_at_idx ON join_token (expires_at);

-- How many connections each urgent entry has closed on each node.
CREATE TABLE urgent_closed (
    sequence bigint NOT NULL REFERENCES urgent ON DELETE CASCADE,
    node_id  uuid NOT NULL REFERENCES node ON DELETE CASCADE,
    closed   bigint NOT NULL,
    PRIMARY KEY (sequence, node_id)
);
