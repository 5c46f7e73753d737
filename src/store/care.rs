//! The file of the store over the years: what is forgotten, how it becomes smaller, the copy before a migration, and how
//! damage reads.
//!
//! Nothing that is here holds the write lock for long: the runner and the agents go on meanwhile, and wait no longer than
//! they would for each other.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, ErrorCode, params};

use super::{Store, begin};
use crate::error::{Exit, Fail};
use crate::files;

/// The log of changes is cut to this size once it is written back; a burst leaves no large file behind. In bytes.
pub(super) const WAL_KEPT: u64 = 8 << 20;
/// Rows that go in one transaction.
const AT_ONCE: u32 = 100;
/// Pages that are given back in one transaction.
const PAGES_AT_ONCE: u32 = 500;
/// Below that much room within the file nothing is done about it, in bytes.
const WORTH_IT: u64 = 1 << 20;
/// Above that a file is not written anew as a whole while others wait, in bytes.
const TOO_LARGE: u64 = 1 << 30;
/// How long a checkpoint waits for readers; nobody can write meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// By a clock further ahead of the newest job than that nothing is judged.
const CLOCK_AHEAD_MS: i64 = 24 * 3_600_000;

/// What was forgotten, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub jobs: u64,
    pub events: u64,
    /// What they took in the file, about.
    pub bytes: u64,
}

/// Jobs that ended before ?1 and that nobody needs: not the newest review of a pull request that is open, which the next
/// one builds on, nor what an open finding names as its last report. What was spent is in another table and stays.
const OLD: &str = "state = 'ended' AND ended_ms < ?1
    AND id NOT IN (SELECT json_extract(last, '$.job') FROM findings WHERE state = 'open')
    AND id NOT IN (
        SELECT max(newest.id) FROM watched JOIN jobs AS newest ON newest.pull = watched.repo || '#' || watched.number
        WHERE json_extract(watched.key, '$.open') AND newest.pull IS NOT NULL AND newest.state = 'ended'
        AND newest.outcome IN ('reviewed', 'partial') GROUP BY newest.pull
    )";

impl Store {
    /// Forgets jobs that ended longer than `keep_ms` before `now_ms`, with their reviews and events. Open ones never.
    pub async fn prune(&self, now_ms: i64, keep_ms: i64, dry_run: bool) -> Result<Pruned> {
        let before_ms = self
            .run(move |connection| {
                let newest: Option<i64> = connection.query_row(
                    "SELECT max(max(created_ms), coalesce(max(ended_ms), 0)) FROM jobs",
                    [],
                    |row| row.get(0),
                )?;
                Ok(now_ms.min(newest.unwrap_or(now_ms).saturating_add(CLOCK_AHEAD_MS)).saturating_sub(keep_ms))
            })
            .await?;
        if dry_run {
            return self
                .run(move |connection| weigh(connection, &format!("SELECT id FROM jobs WHERE {OLD}"), before_ms))
                .await;
        }
        let mut sum = Pruned::default();
        loop {
            let some = self.run(move |connection| prune_some(connection, before_ms)).await;
            let some = some.context("could not forget old jobs")?;
            if some.jobs == 0 {
                return Ok(sum);
            }
            sum =
                Pruned { jobs: sum.jobs + some.jobs, events: sum.events + some.events, bytes: sum.bytes + some.bytes };
        }
    }

    /// Gives the room within the file back, where that is worth it. `free` is how much of the disk may be used for it.
    pub async fn compact(&self, free: u64) -> Result<()> {
        let number = |connection: &Connection, name: &str| -> Result<u64> {
            Ok(connection.pragma_query_value(None, name, |row| row.get(0))?)
        };
        let look = move |connection: &mut Connection| -> Result<(u64, u64, u64)> {
            let page = number(connection, "page_size")?;
            let size = number(connection, "page_count")? * page;
            Ok((size, number(connection, "freelist_count")? * page, number(connection, "auto_vacuum")?))
        };
        let (size, mut empty, mode) = self.run(look).await?;
        if empty < WORTH_IT {
            return Ok(());
        }
        const INCREMENTAL: u64 = 2;
        if mode == INCREMENTAL {
            loop {
                self.run(|connection| {
                    Ok(connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?)
                })
                .await?;
                let (_, left, _) = self.run(look).await?;
                if left == 0 || left >= empty {
                    return Ok(());
                }
                empty = left;
            }
        }
        // One of an earlier version is written anew once, into the log of changes and from there into the file.
        if empty >= size / 4 && size < TOO_LARGE && free > 2 * size {
            self.run(|connection| Ok(connection.execute_batch("PRAGMA auto_vacuum = incremental; VACUUM")?))
                .await
                .context("could not make the store smaller")?;
        }
        Ok(())
    }

    /// Writes the log of changes back into the file and empties it. Says whether it is empty: somebody may be reading.
    pub async fn checkpoint(&self) -> Result<bool> {
        self.run(|connection| {
            connection.busy_timeout(PATIENCE)?;
            let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0));
            connection.busy_timeout(super::PATIENCE)?;
            Ok(!busy?)
        })
        .await
        .context("could not write the store's log back")
    }

    /// Whether every page and every index of the file is sound (SQLite's `integrity_check`); slower than
    /// [`Store::check`].
    pub async fn check_whole(&self) -> Result<()> {
        self.run(|connection| check(connection, "integrity_check")).await
    }

    /// Whether the file is sound (SQLite's `quick_check`).
    pub async fn check(&self) -> Result<()> {
        self.run(|connection| check(connection, "quick_check")).await
    }
}

fn check(connection: &Connection, how: &str) -> Result<()> {
    let found: String = connection.query_row(&format!("PRAGMA {how}(1)"), [], |row| row.get(0))?;
    if found != "ok" {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        bail!(damaged(&path, found.lines().next().unwrap_or_default()));
    }
    Ok(())
}

fn weigh(connection: &Connection, ids: &str, before_ms: i64) -> Result<Pruned> {
    let sql = format!(
        "SELECT count(*), coalesce(sum(length(id) + length(request) + coalesce(length(review), 0)), 0),
         (SELECT count(*) FROM events WHERE job IN ({ids})),
         (SELECT coalesce(sum(length(job) + length(what)), 0) FROM events WHERE job IN ({ids}))
         FROM jobs WHERE id IN ({ids})"
    );
    Ok(connection.query_row(&sql, params![before_ms], |row| {
        Ok(Pruned { jobs: row.get(0)?, events: row.get(2)?, bytes: row.get::<_, u64>(1)? + row.get::<_, u64>(3)? })
    })?)
}

fn prune_some(connection: &mut Connection, before_ms: i64) -> Result<Pruned> {
    let transaction = begin(connection)?;
    let ids = format!("SELECT id FROM jobs WHERE {OLD} ORDER BY id LIMIT {AT_ONCE}");
    let pruned = weigh(&transaction, &ids, before_ms)?;
    transaction.execute(
        &format!(
            "INSERT INTO pruned (outcome, jobs)
             SELECT outcome, count(*) FROM jobs WHERE id IN ({ids}) AND outcome IS NOT NULL GROUP BY outcome
             ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs"
        ),
        params![before_ms],
    )?;
    // Events go with their job.
    transaction.execute(&format!("DELETE FROM jobs WHERE id IN ({ids})"), params![before_ms])?;
    transaction.commit()?;
    Ok(pruned)
}

/// What a store is called that is older than this program, once it is copied.
fn backup_path(store: &Path, schema: usize) -> PathBuf {
    store.with_extension(format!("db.bak-schema{schema}"))
}

/// The copies that there are.
pub fn backups(store: &Path) -> Result<Vec<PathBuf>> {
    let Some(dir) = store.parent() else { return Ok(Vec::new()) };
    let is_one = |name: &String| name.starts_with("store.db.bak-schema");
    Ok(files::names(dir)?.into_iter().filter(is_one).map(|name| dir.join(name)).collect())
}

/// Copies the store as it was committed last, whole or not at all, and on the disk when this returns. By a connection of
/// its own: whoever migrates has the write lock, so nothing is changed between this and the migration.
pub(super) fn back_up(store: &Path, schema: usize) -> Result<()> {
    let to = backup_path(store, schema);
    let copy = || -> Result<()> {
        let dir = to.parent().context("it has no directory")?;
        // SQLite only writes where nothing is, so not into a file that has been made for it.
        let room = tempfile::Builder::new().prefix(files::TEMPORARY).tempdir_in(dir)?;
        let new = room.path().join("store.db");
        let name = new.to_str().context("its path is no text")?;
        Connection::open(store)?.execute("VACUUM INTO ?1", [name])?;
        File::open(&new)?.sync_all()?;
        std::fs::rename(&new, &to)?;
        files::sync_dir(dir)
    };
    copy().with_context(|| format!("could not copy the store to `{}` before it is brought up to date", to.display()))
}

/// The failure that a damaged store is: nothing goes on with it, and nothing is written over it.
pub(super) fn damaged(store: &Path, how: &str) -> Fail {
    let copies = backups(store).unwrap_or_default();
    let copy = match copies.last() {
        Some(copy) => format!("`{}` is a copy of an earlier day that can take its place; ", copy.display()),
        None => String::new(),
    };
    let path = store.display();
    Fail {
        exit: Exit::Configuration,
        ..Fail::new(format!("the store `{path}` is damaged: {how}")).hint(format!(
            "nothing was written over it. Stop the units (`systemctl --user stop 'cicd-*'`) and move it away with its \
             `-wal` and `-shm`; {copy}`sqlite3 MOVED .recover | sqlite3 {path}` saves what can be read; without either, \
             queue, findings and costs begin anew. Then `cicdctl init`"
        ))
    }
}

/// Whether an error is damage to the file.
pub fn is_damage(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<rusqlite::Error>())
        .any(|error| matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)))
}

/// The same error, with what helps.
pub(super) fn named(error: anyhow::Error, store: &Path) -> anyhow::Error {
    if is_damage(&error) && error.downcast_ref::<Fail>().is_none() {
        let how = error.root_cause().to_string();
        return error.context(damaged(store, &how));
    }
    error
}
