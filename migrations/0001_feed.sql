-- The change feed and the urgent lane. The one row of each head is locked by the last statements of every writing
-- transaction, so that numbers are committed in their order.

CREATE TABLE feed_head (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- One database's line of generations; a restored database must begin another.
    timeline   uuid NOT NULL DEFAULT gen_random_uuid(),
    number     bigint NOT NULL DEFAULT 0
);
INSERT INTO feed_head DEFAULT VALUES;

CREATE TABLE feed (
    number        bigint PRIMARY KEY,
    -- Which documents changed; their bodies are read when a node asks.
    document_keys jsonb NOT NULL,
    created_at    timestamptz NOT NULL
);

CREATE TABLE urgent_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    sequence bigint NOT NULL DEFAULT 0
);
INSERT INTO urgent_head DEFAULT VALUES;

CREATE TABLE urgent (
    sequence    bigint PRIMARY KEY,
    instance_id uuid NOT NULL,
    urgent      jsonb NOT NULL,
    created_at  timestamptz NOT NULL
);
