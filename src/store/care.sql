-- What was forgotten of the jobs that ended: the counts by outcome only ever grow.
CREATE TABLE pruned (
    outcome TEXT PRIMARY KEY,
    jobs    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
