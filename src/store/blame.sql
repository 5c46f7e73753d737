-- What is held against a job: of processes that died over it, most of all.
ALTER TABLE jobs ADD COLUMN blame INTEGER NOT NULL DEFAULT 0;
