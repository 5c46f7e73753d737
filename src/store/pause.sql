-- Who begins no job for now: src/store/pause.rs.
CREATE TABLE pauses (
    agent    TEXT NOT NULL,    -- '': the runner
    drains   INTEGER NOT NULL, -- 1: it stops once nothing runs any more
    by_user  TEXT NOT NULL,
    note     TEXT NOT NULL,
    at_ms    INTEGER NOT NULL, -- when it was set
    until_ms INTEGER,          -- NULL: until somebody takes it back
    PRIMARY KEY (agent, drains)
) STRICT, WITHOUT ROWID;
-- When not_before_ms was set, by the clock of then: a clock that is behind it was set back since.
ALTER TABLE jobs ADD COLUMN put_off_ms INTEGER;
