-- Whose turn it is among the members of a shared subscription.

ALTER TABLE instance
    ADD COLUMN shared_strategy text NOT NULL DEFAULT 'round_robin'
        CHECK (shared_strategy IN ('round_robin', 'sticky', 'least_in_flight'));
