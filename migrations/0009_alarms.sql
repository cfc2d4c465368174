-- Channels that are told of alarms, the rules that raise them, the alarms themselves, and what is yet to be told.

CREATE TABLE channel (
    channel_id             uuid NOT NULL,
    instance_id            uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    name                   text COLLATE "C" NOT NULL,
    kind                   text NOT NULL CHECK (kind IN ('webhook')),
    url                    text NOT NULL,
    enabled                boolean NOT NULL,
    secret_sealed          bytea NOT NULL,
    -- The secret before, which signs as well until then.
    previous_secret_sealed bytea,
    previous_signs_until   timestamptz,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    revision               bigint NOT NULL DEFAULT 1,
    CHECK ((previous_secret_sealed IS NULL) = (previous_signs_until IS NULL)),
    CONSTRAINT channel_pkey PRIMARY KEY (instance_id, channel_id),
    CONSTRAINT channel_instance_id_name_key UNIQUE (instance_id, name)
);
CREATE INDEX channel_instance_id_created_at_idx ON channel (instance_id, created_at, channel_id);

CREATE TABLE alarm_rule (
    alarm_rule_id uuid NOT NULL,
    instance_id   uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    name          text COLLATE "C" NOT NULL,
    severity      text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    enabled       boolean NOT NULL,
    condition     jsonb NOT NULL,
    for_secs      bigint NOT NULL CHECK (for_secs >= 0),
    repeat_secs   bigint CHECK (repeat_secs > 0),
    -- A channel that a rule names is not deleted: both are changed under the lock of their instance.
    channels      uuid[] NOT NULL,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    revision      bigint NOT NULL DEFAULT 1,
    -- What the last evaluation found. It changes all the time, and is no change of the rule.
    state         text NOT NULL CHECK (state IN ('ok', 'pending', 'firing', 'no_data')),
    pending_since timestamptz,
    value         bigint,
    evaluated_at  timestamptz,
    CHECK ((state = 'pending') = (pending_since IS NOT NULL)),
    CONSTRAINT alarm_rule_pkey PRIMARY KEY (instance_id, alarm_rule_id),
    CONSTRAINT alarm_rule_instance_id_name_key UNIQUE (instance_id, name)
) WITH (fillfactor = 70);
CREATE INDEX alarm_rule_instance_id_created_at_idx ON alarm_rule (instance_id, created_at, alarm_rule_id);

-- An alarm outlives its rule, so it says itself what it was about.
CREATE TABLE alarm (
    alarm_id        uuid NOT NULL,
    instance_id     uuid NOT NULL REFERENCES instance ON DELETE CASCADE,
    alarm_rule_id   uuid NOT NULL,
    rule_name       text COLLATE "C" NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    state           text NOT NULL CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    -- What was measured when it was raised, or when it was last told again.
    value           bigint NOT NULL,
    threshold       bigint NOT NULL,
    fired_at        timestamptz NOT NULL,
    -- When its channels were last told that it fires.
    told_at         timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    note            text,
    resolved_at     timestamptz,
    resolved_reason text CHECK (resolved_reason IN ('cleared', 'rule_changed', 'rule_disabled', 'rule_deleted')),
    revision        bigint NOT NULL DEFAULT 1,
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK ((resolved_at IS NULL) = (resolved_reason IS NULL)),
    CONSTRAINT alarm_pkey PRIMARY KEY (instance_id, alarm_id)
);
-- A rule has one open alarm, however many controllers look at it.
CREATE UNIQUE INDEX alarm_open_key ON alarm (instance_id, alarm_rule_id) WHERE resolved_at IS NULL;
CREATE INDEX alarm_instance_id_fired_at_idx ON alarm (instance_id, fired_at, alarm_id);
CREATE INDEX alarm_resolved_at_idx ON alarm (resolved_at) WHERE resolved_at IS NOT NULL;

-- One event on its way to one channel: written with what it tells of, sent afterwards.
CREATE TABLE delivery (
    delivery_id     uuid NOT NULL,
    instance_id     uuid NOT NULL,
    channel_id      uuid NOT NULL,
    -- Senders take turns by tenant.
    tenant_id       uuid NOT NULL,
    event           text COLLATE "C" NOT NULL,
    -- The body as it is signed and sent, each time the same.
    body            text NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed')),
    attempts        integer NOT NULL DEFAULT 0,
    last_status     integer,
    last_error      text,
    next_attempt_at timestamptz,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL)),
    CHECK ((state = 'pending') = (finished_at IS NULL)),
    CONSTRAINT delivery_pkey PRIMARY KEY (instance_id, delivery_id),
    FOREIGN KEY (instance_id, channel_id) REFERENCES channel ON DELETE CASCADE
);
CREATE INDEX delivery_instance_id_channel_id_created_at_idx
    ON delivery (instance_id, channel_id, created_at, delivery_id);
CREATE INDEX delivery_tenant_id_next_attempt_at_idx ON delivery (tenant_id, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX delivery_instance_id_idx ON delivery (instance_id) WHERE state = 'pending';
CREATE INDEX delivery_finished_at_idx ON delivery (finished_at) WHERE finished_at IS NOT NULL;
