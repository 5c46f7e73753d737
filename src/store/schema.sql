CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,   -- ULID: sorts by time
    agent      TEXT,               -- NULL: the runner's own
    state      TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ended')),
    request    TEXT NOT NULL,      -- JSON
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms   INTEGER,
    attempts   INTEGER NOT NULL DEFAULT 0,
    cancelled  INTEGER NOT NULL DEFAULT 0, -- 1: by somebody, 2: a newer head took its place
    outcome    TEXT,
    reason     TEXT,               -- of the end, or why it is in the queue again
    review     TEXT,               -- JSON
    pull       TEXT,               -- acme/shop#42, in lower case, where the repository is known
    head       TEXT,               -- head SHA, as asked for and then as found
    base       TEXT,               -- where the change parted from its base
    digest     TEXT,               -- of all that decides how it is reviewed
    found_ms   INTEGER,            -- when the forge was asked for the head
    not_before_ms INTEGER,
    deferrals  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_open ON jobs (state, agent, id) WHERE state != 'ended';
CREATE INDEX jobs_agent ON jobs (agent, id);
CREATE INDEX jobs_pull ON jobs (pull, id) WHERE pull IS NOT NULL;

CREATE TABLE events (
    job   TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq   INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    what  TEXT NOT NULL,           -- JSON
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
