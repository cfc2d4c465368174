-- Which messages are logged, and what gives way when more waits for a lasting session than its instance allows.

ALTER TABLE instance
    ADD COLUMN durability     text NOT NULL DEFAULT 'logged'
        CHECK (durability IN ('relay', 'logged', 'always', 'synced')),
    ADD COLUMN queue_overflow text NOT NULL DEFAULT 'drop_oldest'
        CHECK (queue_overflow IN ('drop_oldest', 'drop_new', 'disconnect'));

ALTER TABLE topic
    -- None: as its instance has it.
    ADD COLUMN durability text CHECK (durability IN ('relay', 'logged', 'always', 'synced'));
