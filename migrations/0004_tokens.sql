-- Signing keys, issued temporary tokens, and revocations.

CREATE TABLE signing_key (
    instance_id        uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    kid                text COLLATE "C" NOT NULL,
    public_key         bytea NOT NULL,
    private_key_sealed bytea NOT NULL,
    created_at         timestamptz NOT NULL,
    -- Once another key signs: until when this one's tokens are good.
    verifies_until     timestamptz,
    revoked_at         timestamptz,
    -- Whether the nodes have been told that it verifies no more.
    withdrawn          boolean NOT NULL DEFAULT false,
    CONSTRAINT signing_key_pkey PRIMARY KEY (instance_id, kid)
);
-- One key signs.
CREATE UNIQUE INDEX signing_key_signs_key ON signing_key (instance_id)
    WHERE verifies_until IS NULL AND revoked_at IS NULL;
CREATE INDEX signing_key_verifies_until_idx ON signing_key (verifies_until) WHERE NOT withdrawn;

CREATE TABLE revocation (
    revocation_id uuid PRIMARY KEY,
    instance_id   uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    selector      jsonb NOT NULL,
    issued_before timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    created_at    timestamptz NOT NULL
);
CREATE INDEX revocation_instance_id_created_at_idx ON revocation (instance_id, created_at, revocation_id);
CREATE INDEX revocation_instance_id_revocation_id_idx ON revocation (instance_id, revocation_id);
CREATE INDEX revocation_expires_at_idx ON revocation (expires_at);

-- The row is the record of the issue. It names no signing key by reference: issuing is one insert that locks nothing.
CREATE TABLE token (
    token_id      uuid NOT NULL,
    instance_id   uuid NOT NULL,
    client_id     text COLLATE "C",
    subject       text COLLATE "C",
    labels        jsonb NOT NULL,
    grants        jsonb NOT NULL,
    signing_key   text NOT NULL,
    not_before    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    issued_at     timestamptz NOT NULL,
    issued_by     text NOT NULL,
    request_id    text NOT NULL,
    revoked_at    timestamptz,
    revocation_id uuid,
    CHECK ((client_id IS NULL) <> (subject IS NULL)),
    PRIMARY KEY (instance_id, token_id)
);
CREATE INDEX token_instance_id_issued_at_idx ON token (instance_id, issued_at, token_id);
CREATE INDEX token_instance_id_principal_idx ON token (instance_id, (coalesce(client_id, subject)), token_id);
CREATE INDEX token_expires_at_idx ON token (expires_at);
