-- What reviews have found and what became of it: src/review/ledger.rs.
CREATE TABLE findings (
    project        TEXT NOT NULL,    -- owner/name in lower case, or the path of a repository on this host
    pull           INTEGER NOT NULL, -- 0: of no pull request
    fingerprint    TEXT NOT NULL,    -- of its first report; so it is known at the forge
    latest         TEXT NOT NULL,    -- the one that its newest report has by itself
    state          TEXT NOT NULL CHECK (state IN ('open', 'fixed', 'dismissed')),
    finding        TEXT NOT NULL,    -- JSON, as it was reported last
    lines          TEXT NOT NULL,    -- JSON: digests of the lines meant
    engine         TEXT NOT NULL,    -- that reported it last
    first          TEXT NOT NULL,    -- JSON: job, base, head and time of its first report
    last           TEXT NOT NULL,    -- JSON: the same of the newest
    fixed_head     TEXT,
    dismissal      TEXT,             -- JSON: by whom, why and when
    heard_reply    INTEGER NOT NULL, -- newest reply of its conversation that was counted
    heard_resolved INTEGER NOT NULL,
    PRIMARY KEY (project, pull, fingerprint)
) STRICT, WITHOUT ROWID;

CREATE INDEX findings_dismissed ON findings (project) WHERE state = 'dismissed';
