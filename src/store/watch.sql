CREATE TABLE watches (              -- of a repository, by an agent
    agent     TEXT NOT NULL,
    repo      TEXT NOT NULL,        -- owner/name, in lower case
    begun     INTEGER NOT NULL DEFAULT 0, -- 1: the first look is done
    newest_ms INTEGER NOT NULL DEFAULT 0, -- latest change that was seen, by the forge's clock
    asked_ms  INTEGER,              -- the last look
    failed_ms INTEGER,              -- the last look that failed
    failure   TEXT,
    PRIMARY KEY (agent, repo)
) STRICT, WITHOUT ROWID;

CREATE TABLE watched (              -- pull requests, as they were seen last
    agent      TEXT NOT NULL,
    repo       TEXT NOT NULL,
    number     INTEGER NOT NULL,
    key        TEXT NOT NULL,       -- JSON of what a review depends on
    updated_ms INTEGER NOT NULL,    -- by the forge's clock, as the next two
    from_ms    INTEGER NOT NULL,    -- comments of that time or earlier are none of ours
    read_ms    INTEGER NOT NULL,    -- comments are read up to there
    comment    INTEGER NOT NULL,    -- highest id among them
    PRIMARY KEY (agent, repo, number)
) STRICT, WITHOUT ROWID;
