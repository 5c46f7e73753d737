-- The head at which the label that approves a fork was first seen; gone with the label.
CREATE TABLE approvals (
    pull  TEXT PRIMARY KEY,        -- acme/shop#42, in lower case
    head  TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
