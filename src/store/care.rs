//! The file of the store over the years: what is forgotten, how it becomes smaller, the copy before a migration, and how
//! damage reads.
//!
//! Nothing that is here holds the write lock for long: the runner and the agents go on meanwhile, and wait no longer than
//! they would for each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, ErrorCode, params};

use super::{Store, begin, version};
use crate::error::{Exit, Fail};
use crate::files;

/// The log of changes is cut to this size once it is written back; a burst leaves no large file behind. In bytes.
pub(super) const WAL_KEPT: u64 = 8 << 20;
/// How the name of a directory begins in which the store is being copied.
pub const COPYING: &str = ".copying-";
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
    AND id NOT IN (SELECT coalesce(json_extract(last, '$.job'), '') FROM findings WHERE state = 'open')
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
        let first = found.lines().next().unwrap_or_default().to_owned();
        return Err(anyhow::Error::msg(first).context(damaged(&path)));
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
        let room = tempfile::Builder::new().prefix(COPYING).tempdir_in(dir)?;
        let new = room.path().join("store.db");
        version::copy(store, &new)?;
        std::fs::rename(&new, &to)?;
        files::sync_dir(dir)
    };
    copy().with_context(|| format!("could not copy the store to `{}` before it is brought up to date", to.display()))
}

/// The failure that a damaged store is: nothing goes on with it, and nothing is written over it.
fn damaged(store: &Path) -> Fail {
    let copies = backups(store).unwrap_or_default();
    let copy = match copies.last() {
        Some(copy) => format!("`{}` is a copy of an earlier day that can take its place; ", copy.display()),
        None => String::new(),
    };
    let path = store.display();
    Fail {
        exit: Exit::Configuration,
        ..Fail::new(format!("the store `{path}` is damaged")).hint(format!(
            "nothing was written over it. Stop the units (`systemctl --user stop 'cicd-*'`) and move it away with its \
             `-wal` and `-shm`; {copy}`sqlite3 MOVED .recover | sqlite3 {path}` saves what can be read; without either, \
             queue, findings and costs begin anew. Then `cicdctl init`"
        ))
    }
}

/// Whether an error is damage to the file.
pub fn is_damage(error: &anyhow::Error) -> bool {
    super::has_code(error, &[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase])
}

/// The same error, with what helps.
pub(super) fn named(error: anyhow::Error, store: &Path) -> anyhow::Error {
    if is_damage(&error) && error.downcast_ref::<Fail>().is_none() {
        return error.context(damaged(store));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{JobState, ReviewRequest};
    use crate::review::{Outcome, Receipt, Review};
    use crate::store::queue::Ask;
    use crate::store::{Key, Watch, now_ms};

    const DAY: i64 = 24 * 3_600_000;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store)
    }

    /// A job of a pull request that ended so many days ago; with its review it takes some 20 kB.
    async fn ended(store: &Store, pull: u64, days: i64) -> String {
        let request = ReviewRequest { pr: Some(pull), ..Default::default() };
        let pull = Some(format!("acme/shop#{pull}"));
        let id = store.accept(Ask { request, pull, ..Ask::default() }).await.unwrap().job.id;
        store.claim(None).await.unwrap().unwrap();
        let review = Review {
            job: id.clone(),
            project: "p".into(),
            subject: "s".into(),
            outcome: Outcome::Reviewed,
            reason: None,
            summary: Some("x".repeat(20_000)),
            findings: Vec::new(),
            receipt: Receipt::default(),
            retry_at_ms: None,
            unpublished: None,
        };
        store.finish(&id, review).await.unwrap();
        aged(store, &id, days).await;
        id
    }

    async fn aged(store: &Store, id: &str, days: i64) {
        let (id, at) = (id.to_owned(), now_ms() - days * DAY);
        store
            .run(move |connection| {
                Ok(connection.execute(
                    "UPDATE jobs SET created_ms = ?2, ended_ms = iif(state = 'ended', ?2, NULL) WHERE id = ?1",
                    params![id, at],
                )?)
            })
            .await
            .unwrap();
    }

    async fn left(store: &Store) -> Vec<String> {
        let mut ids: Vec<String> = store.jobs(None, 1000).await.unwrap().into_iter().map(|job| job.id).collect();
        ids.sort();
        ids
    }

    async fn one_number(store: &Store, sql: &'static str) -> u64 {
        store.run(move |connection| Ok(connection.query_row(sql, [], |row| row.get(0))?)).await.unwrap()
    }

    #[tokio::test]
    async fn old_jobs_are_forgotten_with_their_events_and_are_still_counted() {
        let (_dir, store) = store();
        let mut old = Vec::new();
        for pull in 1..=250 {
            old.push(ended(&store, pull, 91).await);
        }
        let (young, today) = (ended(&store, 300, 89).await, ended(&store, 302, 0).await);
        let request = ReviewRequest { pr: Some(301), ..Default::default() };
        let open = store.accept(Ask { request, ..Ask::default() }).await.unwrap().job.id;
        aged(&store, &open, 400).await;
        let would = store.prune(now_ms(), 90 * DAY, true).await.unwrap();
        assert_eq!((would.jobs, left(&store).await.len()), (250, 253));
        let pruned = store.prune(now_ms(), 90 * DAY, false).await.unwrap();
        assert_eq!(pruned, would);
        assert!(pruned.bytes > 250 * 20_000 && pruned.events == 750, "{pruned:?}");
        assert_eq!(left(&store).await, [young, today, open.clone()]);
        assert_eq!(one_number(&store, "SELECT count(*) FROM events").await, 7);
        assert_eq!(store.outcomes().await.unwrap(), [(Outcome::Reviewed, 252)]);
        assert_eq!(store.prune(now_ms(), 90 * DAY, false).await.unwrap(), Pruned::default());
        assert_eq!(store.job(&open).await.unwrap().unwrap().state, JobState::Queued);
    }

    #[tokio::test]
    async fn what_the_next_review_builds_on_stays_however_old_it_is() {
        let (_dir, store) = store();
        let (first, newest) = (ended(&store, 1, 300).await, ended(&store, 1, 200).await);
        let closed = ended(&store, 2, 200).await;
        let named = ended(&store, 3, 200).await;
        let gone = ended(&store, 4, 200).await;
        ended(&store, 5, 0).await;
        let watch = Watch::new("shop".parse().unwrap(), "acme/shop");
        let key = |open| Key { head: "h".into(), base: "main".into(), draft: false, labels: vec![], open };
        let rows =
            [(1u64, serde_json::to_string(&key(true)).unwrap()), (2, serde_json::to_string(&key(false)).unwrap())];
        let last = format!("{{\"job\":\"{named}\"}}");
        store
            .run(move |connection| {
                for (number, key) in rows {
                    connection.execute(
                        "INSERT INTO watched VALUES ('shop', 'acme/shop', ?1, ?2, 0, 0, 0, 0)",
                        params![number, key],
                    )?;
                }
                for (fingerprint, state, last) in [("a", "open", last), ("b", "fixed", String::from("{\"job\":\"x\"}"))] {
                    connection.execute(
                        "INSERT INTO findings VALUES ('p', 0, ?1, ?1, ?2, '{}', '[]', 'rules', '{}', ?3, NULL, NULL, 0, 0)",
                        params![fingerprint, state, last],
                    )?;
                }
                Ok(())
            })
            .await
            .unwrap();
        assert_eq!(store.watched(&watch).await.unwrap().len(), 2);
        store.prune(now_ms(), 90 * DAY, false).await.unwrap();
        let left = left(&store).await;
        assert!(left.contains(&newest) && left.contains(&named), "{left:?}");
        assert!(!left.contains(&first) && !left.contains(&closed) && !left.contains(&gone), "{left:?}");
    }

    #[tokio::test]
    async fn a_clock_that_is_years_ahead_makes_nothing_old() {
        let (_dir, store) = store();
        let id = ended(&store, 1, 10).await;
        assert_eq!(store.prune(now_ms() + 5000 * DAY, 90 * DAY, false).await.unwrap(), Pruned::default());
        assert_eq!(left(&store).await, [id]);
    }

    #[tokio::test]
    async fn the_file_becomes_smaller_and_its_log_is_cut() {
        let (dir, store) = store();
        let size = |end: &str| std::fs::metadata(dir.path().join(format!("store.db{end}"))).unwrap().len();
        for pull in 1..=300 {
            ended(&store, pull, 100).await;
        }
        ended(&store, 301, 0).await;
        assert!(store.checkpoint().await.unwrap());
        let before = size("");
        assert!(before > 6_000_000 && size("-wal") == 0);
        store.prune(now_ms(), 90 * DAY, false).await.unwrap();
        store.compact(u64::MAX).await.unwrap();
        assert!(store.checkpoint().await.unwrap());
        assert!(size("") < before / 10, "{} of {before}", size(""));
        store.check_whole().await.unwrap();
        // What one burst has left in the log is cut when it is written back by itself, too.
        store
            .run(|connection| {
                connection.execute_batch(
                    "PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(30000000));
                     PRAGMA wal_autocheckpoint = 1000; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);",
                )?;
                Ok(())
            })
            .await
            .unwrap();
        assert!(size("-wal") <= WAL_KEPT, "{}", size("-wal"));
    }

    #[tokio::test]
    async fn a_store_of_an_earlier_version_becomes_smaller_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(include_str!("../../tests/fixtures/store/schema-1.sql")).unwrap();
        connection
            .execute_batch(
                "PRAGMA user_version = 1; CREATE TABLE ballast (x); INSERT INTO ballast VALUES (zeroblob(9000000));",
            )
            .unwrap();
        drop(connection);
        let store = Store::open(&path).unwrap();
        assert_eq!(one_number(&store, "PRAGMA auto_vacuum").await, 0);
        store.run(|connection| Ok(connection.execute_batch("DROP TABLE ballast")?)).await.unwrap();
        store.checkpoint().await.unwrap();
        store.compact(1_000_000).await.unwrap();
        assert_eq!(one_number(&store, "PRAGMA auto_vacuum").await, 0, "there is no room for it");
        store.compact(u64::MAX).await.unwrap();
        assert!(store.checkpoint().await.unwrap());
        assert_eq!(one_number(&store, "PRAGMA auto_vacuum").await, 2);
        assert!(std::fs::metadata(&path).unwrap().len() < 500_000);
    }

    #[test]
    fn before_a_migration_the_store_is_copied_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(include_str!("../../tests/fixtures/store/schema-1.sql")).unwrap();
        old.execute_batch(
            "PRAGMA journal_mode = wal; PRAGMA user_version = 1;
             INSERT INTO jobs (id, state, request, created_ms) VALUES ('01J', 'queued', '{\"pr\":42}', 1);",
        )
        .unwrap();
        // Somebody still has it open, and what is committed is in its log.
        drop(Store::open(&path).unwrap());
        assert_eq!(backups(&path).unwrap(), [dir.path().join("store.db.bak-schema1")]);
        let copy = Connection::open(&backups(&path).unwrap()[0]).unwrap();
        let version: u32 = copy.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        let job: String = copy.query_row("SELECT id FROM jobs", [], |row| row.get(0)).unwrap();
        assert_eq!((version, job.as_str()), (1, "01J"));
        // A new store, and one that is up to date, need none.
        drop(Store::open(&path).unwrap());
        drop(Store::open(&dir.path().join("new.db")).unwrap());
        assert_eq!(backups(&path).unwrap().len(), 1);
        assert!(files::names(dir.path()).unwrap().iter().all(|name| !name.starts_with(COPYING)));
    }

    #[test]
    fn without_room_for_the_copy_nothing_is_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(include_str!("../../tests/fixtures/store/schema-1.sql")).unwrap();
        old.execute_batch("PRAGMA user_version = 1").unwrap();
        // A directory with something in it cannot be replaced.
        std::fs::create_dir_all(backup_path(&path, 1).join("x")).unwrap();
        let error = Store::open(&path).err().unwrap();
        assert!(format!("{error:#}").contains("could not copy the store"), "{error:#}");
        let version: u32 = old.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, 1);
    }

    #[tokio::test]
    async fn damage_is_named_with_its_remedy_and_exits_with_78() {
        let (dir, store) = store();
        for pull in 1..=50 {
            ended(&store, pull, 0).await;
        }
        store.checkpoint().await.unwrap();
        let path = dir.path().join("store.db");
        let copy = dir.path().join("copy.db");
        let mut bytes = std::fs::read(&path).unwrap();
        for byte in &mut bytes[8192..400_000] {
            *byte = byte.wrapping_add(99);
        }
        std::fs::write(&copy, &bytes).unwrap();
        // What is damaged in its midst can be opened, and is found by looking.
        let error = match Store::open(&copy) {
            Ok(store) => store.check().await.unwrap_err(),
            Err(error) => error,
        };
        assert!(format!("{error:#}").contains("is damaged"), "{error:#}");
        assert_eq!(crate::error::exit_of(&error), Exit::Configuration);
        // What is no database at all is found at once.
        std::fs::write(&copy, vec![7; 100_000]).unwrap();
        let error = Store::open(&copy).err().unwrap();
        assert!(is_damage(&error) && format!("{error:#}").contains("is damaged"), "{error:#}");
        assert!(crate::review::reason(&error).contains("move it away"), "{error:#}");
        assert_eq!(std::fs::read(&copy).unwrap(), vec![7; 100_000], "nothing was written over it");
    }
}
