-- What the calls of engines have cost, added up: src/store/totals.rs.
CREATE TABLE costs (
    agent         TEXT NOT NULL,    -- '': the runner
    engine        TEXT NOT NULL,
    calls         INTEGER NOT NULL,
    spent         INTEGER NOT NULL, -- millionths of a US dollar
    input_tokens  INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    PRIMARY KEY (agent, engine)
) STRICT, WITHOUT ROWID;

INSERT INTO costs
SELECT coalesce(agent, ''), engine, count(*), sum(spent), sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0))
FROM spend WHERE spent IS NOT NULL GROUP BY 1, 2;

-- Whoever ends a reservation, counts it, in the same transaction. A price that comes after the call counted with all that
-- was held for it takes nothing back: a counter that goes down is read as one that began anew.
CREATE TRIGGER costs_counted AFTER UPDATE ON spend WHEN new.spent IS NOT NULL BEGIN
    INSERT INTO costs VALUES (
        coalesce(new.agent, ''), new.engine, old.spent IS NULL, max(new.spent - coalesce(old.spent, 0), 0),
        coalesce(new.input_tokens, 0) - coalesce(old.input_tokens, 0),
        coalesce(new.output_tokens, 0) - coalesce(old.output_tokens, 0)
    )
    ON CONFLICT DO UPDATE SET
        calls = calls + excluded.calls, spent = spent + excluded.spent,
        input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens;
END;

-- Until when the credentials for a forge are good, as it has said last; those without an end are not here.
CREATE TABLE credentials (
    name       TEXT PRIMARY KEY,    -- of the secret
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
