-- A row for each call of an engine that costs; amounts in millionths of a US dollar.
CREATE TABLE spend (
    id            INTEGER PRIMARY KEY,
    job           TEXT NOT NULL,      -- also one that no queue has seen
    agent         TEXT,
    project       TEXT NOT NULL,      -- acme/shop in lower case, or a path
    pull          TEXT,               -- acme/shop#42
    engine        TEXT NOT NULL,
    at_ms         INTEGER NOT NULL,   -- when it was reserved: it counts on that day, whenever it ends
    until_ms      INTEGER NOT NULL,   -- by then its engine has ended, even if nobody was left to say so
    reserved      INTEGER NOT NULL,   -- its budget
    held          INTEGER NOT NULL,   -- what counts until the price is known: its budget, and one answer beyond
    spent         INTEGER,            -- what counts; NULL while it is under way
    priced        INTEGER NOT NULL DEFAULT 0, -- 1: `spent` is what the engine said
    input_tokens  INTEGER,
    output_tokens INTEGER
) STRICT;

CREATE INDEX spend_time ON spend (at_ms);
CREATE INDEX spend_pull ON spend (pull) WHERE pull IS NOT NULL;
CREATE INDEX spend_open ON spend (job) WHERE spent IS NULL;
