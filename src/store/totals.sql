-- What the jobs that have ended add up to, for counters that only ever grow, whatever is pruned: src/store/totals.rs.
CREATE TABLE totals (
    agent TEXT NOT NULL,    -- '': the runner, and what belongs to nobody alone
    name  TEXT NOT NULL,
    label TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (agent, name, label)
) STRICT, WITHOUT ROWID;

INSERT INTO totals (agent, name, label, value)
SELECT coalesce(agent, ''), 'jobs', outcome, count(*) FROM jobs
WHERE state = 'ended' AND outcome IS NOT NULL GROUP BY 1, 3;

-- Whose they were is not known any more.
INSERT INTO totals (agent, name, label, value) SELECT '', 'jobs', outcome, jobs FROM pruned WHERE true
ON CONFLICT DO UPDATE SET value = value + excluded.value;

DROP TABLE pruned;
