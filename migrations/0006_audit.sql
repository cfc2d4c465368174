-- The audit log, kept answers, and what the very first start has made.

CREATE TABLE audit (
    audit_id    uuid PRIMARY KEY,
    -- None for what concerns the platform.
    tenant_id   uuid,
    instance_id uuid,
    actor       text NOT NULL,
    action      text NOT NULL,
    resource    text NOT NULL,
    resource_id text NOT NULL,
    request_id  text NOT NULL,
    before      jsonb,
    after       jsonb,
    created_at  timestamptz NOT NULL
);
CREATE INDEX audit_tenant_id_created_at_idx ON audit (tenant_id, created_at, audit_id);

CREATE TABLE idempotency (
    caller         text NOT NULL,
    key            text NOT NULL,
    request_sha256 bytea NOT NULL,
    -- Who may finish it: a request that took over from a dead one has another.
    claim          uuid NOT NULL,
    answer_sealed  bytea,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_created_at_idx ON idempotency (created_at);

CREATE TABLE bootstrap (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    member_id   uuid NOT NULL,
    tenant_id   uuid NOT NULL,
    instance_id uuid NOT NULL,
    topic       text NOT NULL,
    created_at  timestamptz NOT NULL
);
