-- Which topics keep their messages, and where a node can be asked for them.

ALTER TABLE topic
    -- None: its messages are not kept. Messages of before are not shown, so it is a new moment each time.
    ADD COLUMN history_since           timestamptz,
    -- Both stand while history is off too: what it will be once it is on again.
    ADD COLUMN history_retention_secs  bigint NOT NULL DEFAULT 259200 CHECK (history_retention_secs > 0),
    ADD COLUMN history_retention_bytes bigint CHECK (history_retention_bytes > 0);

ALTER TABLE node
    -- Where the node's own listener is, as an http URL; none: it is closed.
    ADD COLUMN address text;

-- A node's own log is one shard: its number stands in the identifiers of the messages that it has stored, so that they
-- are unlike another node's. The sixteen bits of a shard bound how many nodes can ever join.
CREATE SEQUENCE node_number_seq AS integer MINVALUE 0 MAXVALUE 65535 START 0;
ALTER TABLE node ADD COLUMN number integer NOT NULL UNIQUE DEFAULT nextval('node_number_seq');
ALTER SEQUENCE node_number_seq OWNED BY node.number;
