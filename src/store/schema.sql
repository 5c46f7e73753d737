CREATE TABLE jobs (
    id         TEXT PRIMARY KEY,   -- ULID: sorts by time
    agent      TEXT,               -- NULL: the runner's own
    state      TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ended')),
    request    TEXT NOT NULL,      -- JSON
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    ended_ms   INTEGER,
    attempts   INTEGER NOT NULL DEFAULT 0,
    cancelled  INTEGER NOT NULL DEFAULT 0,
    outcome    TEXT,
    reason     TEXT,
    review     TEXT                -- JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_open ON jobs (state, agent, id) WHERE state != 'ended';
CREATE INDEX jobs_agent ON jobs (agent, id);

CREATE TABLE events (
    job   TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq   INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    what  TEXT NOT NULL,           -- JSON
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
