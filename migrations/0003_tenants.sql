-- Plans, tenants, instances and what belongs to them.

CREATE TABLE plan (
    plan_id     uuid PRIMARY KEY,
    name        text NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    description text NOT NULL,
    limits      jsonb NOT NULL,
    retired_at  timestamptz,
    created_at  timestamptz NOT NULL,
    CONSTRAINT plan_name_version_key UNIQUE (name, version)
);

CREATE TABLE tenant (
    tenant_id  uuid PRIMARY KEY,
    name       text NOT NULL,
    state      text NOT NULL CHECK (state IN ('active', 'suspended')),
    labels     jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    revision   bigint NOT NULL DEFAULT 1
);
CREATE INDEX tenant_created_at_idx ON tenant (created_at, tenant_id);

CREATE TABLE membership (
    tenant_id  uuid NOT NULL REFERENCES tenant ON DELETE CASCADE,
    member_id  uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    role       text NOT NULL CHECK (role IN ('owner', 'admin', 'developer', 'viewer')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, member_id)
);
CREATE INDEX membership_member_id_idx ON membership (member_id);

-- Every label that was ever given, and to whom: it is given to nobody else, even after its instance is gone.
CREATE TABLE instance_label (
    label      text PRIMARY KEY,
    tenant_id  uuid NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE instance (
    instance_id       uuid PRIMARY KEY,
    tenant_id         uuid NOT NULL REFERENCES tenant,
    name              text NOT NULL,
    label             text NOT NULL UNIQUE REFERENCES instance_label,
    plan_id           uuid NOT NULL REFERENCES plan,
    topic_mode        text NOT NULL CHECK (topic_mode IN ('provisioned', 'open')),
    authentication    jsonb NOT NULL,
    delete_protection boolean NOT NULL,
    suspended_by      text CHECK (suspended_by IN ('operator', 'payment', 'tenant')),
    deleted_at        timestamptz,
    labels            jsonb NOT NULL,
    -- What is in use, kept here so that a limit is checked without counting rows.
    topics_used       bigint NOT NULL DEFAULT 0 CHECK (topics_used >= 0),
    credentials_used  bigint NOT NULL DEFAULT 0 CHECK (credentials_used >= 0),
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    revision          bigint NOT NULL DEFAULT 1
);
-- A name is free again once its instance is being deleted.
CREATE UNIQUE INDEX instance_tenant_id_name_key ON instance (tenant_id, name) WHERE deleted_at IS NULL;
CREATE INDEX instance_tenant_id_created_at_idx ON instance (tenant_id, created_at, instance_id);
CREATE INDEX instance_deleted_at_idx ON instance (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE topic (
    instance_id       uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    name              text COLLATE "C" NOT NULL,
    description       text NOT NULL,
    payload_bytes_max bigint CHECK (payload_bytes_max > 0),
    labels            jsonb NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    revision          bigint NOT NULL DEFAULT 1,
    CONSTRAINT topic_pkey PRIMARY KEY (instance_id, name)
);

CREATE TABLE credential (
    credential_id    uuid PRIMARY KEY,
    instance_id      uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    username         text COLLATE "C" NOT NULL,
    client_id        text,
    enabled          boolean NOT NULL,
    grants           jsonb NOT NULL,
    labels           jsonb NOT NULL,
    -- Verifiers, never a secret.
    primary_secret   jsonb NOT NULL,
    secondary_secret jsonb,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    revision         bigint NOT NULL DEFAULT 1,
    CONSTRAINT credential_instance_id_username_key UNIQUE (instance_id, username)
);
CREATE INDEX credential_instance_id_created_at_idx ON credential (instance_id, created_at, credential_id);
