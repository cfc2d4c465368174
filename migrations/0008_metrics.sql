-- What is counted of instances, one row for an instance and a minute. The row of the nil instance is the platform's own:
-- which node has told of which slot, and what was refused before an instance was known.

CREATE TABLE metric_chunk (
    instance_id uuid NOT NULL,
    minute      timestamptz NOT NULL,
    chunk       bytea NOT NULL,
    PRIMARY KEY (instance_id, minute)
) PARTITION BY RANGE (minute);
-- One partition a day, `metric_chunk_<yyyymmdd>`, made by the first row of the day and dropped whole when it is old.
