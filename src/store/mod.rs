//! The truth about jobs: one SQLite file per user in WAL mode, shared by the runner and every agent. What a method
//! has returned from is on disk (`synchronous=FULL`), so a 202 after [`Store::accept`] is a promise. This file opens and
//! reads it; [`queue`] is the way of a job through it, [`spend`] what engines cost, [`watch`] what is known of watched
//! repositories, [`ledger`] what is remembered of findings, [`pause`] who begins nothing for now, [`totals`] what it
//! all adds up to, [`care`] how the file stays small and sound.
//!
//! SQLite blocks, so the connection lives in a thread of its own; the methods send it closures and wait.

mod approvals;
mod care;
mod credentials;
mod ledger;
mod owed;
mod pause;
mod queue;
mod spend;
mod totals;
pub mod version;
mod watch;

use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::agent::AgentName;
use crate::api::{Happening, Job, JobEvent, JobState};
use crate::error::Fail;
use crate::files;
use crate::review::Review;

pub use care::{COPYING, Pruned, backups, is_damage};
pub use ledger::Wanted;
pub use pause::Pause;
pub use queue::{Accepted, Ask, Blame, Cancelled, Ending, Next};
pub use spend::{Call, Caps, Payer, Price, Reserved, Spending};
pub use totals::{BUCKETS, COVERAGES, Cost, Stage, Times, Totals, Waiting};
pub use watch::{Changed, Key, Look, Step, Watch, WatchState, Watched};

/// What each schema adds to the one before; the first of these leads from 2 to 3. A new store walks through them, too.
const STEPS: [&str; 9] = [
    include_str!("spend.sql"),
    include_str!("approvals.sql"),
    include_str!("watch.sql"),
    include_str!("ledger.sql"),
    include_str!("blame.sql"),
    include_str!("pause.sql"),
    include_str!("care.sql"),
    include_str!("totals.sql"),
    include_str!("costs.sql"),
];
const SCHEMA_VERSION: usize = 2 + STEPS.len();
/// How long one that another process has locked is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    work: mpsc::Sender<Work>,
    asks: Arc<Mutex<queue::Asks>>,
}

/// A review of a pull request that has ended, and what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Earlier {
    pub job: String,
    pub head: String,
    pub base: String,
    pub digest: String,
    pub review: Review,
}

/// What waits and runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    pub queued: u64,
    pub running: u64,
    /// Milliseconds since 1970, as the next.
    pub oldest_queued_ms: Option<i64>,
    /// When the first of those is tried that wait for their time.
    pub next_try_ms: Option<i64>,
}

/// How the jobs ended that ended in some part of an hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Slice {
    pub reviewed: u64,
    /// Partial and failed.
    pub failed: u64,
    /// Deferred, superseded, cancelled, …
    pub other: u64,
}

impl Slice {
    pub fn all(self) -> u64 {
        self.reviewed + self.failed + self.other
    }
}

impl Store {
    pub fn open(path: &Path) -> Result<Store> {
        let open = || -> Result<Connection> {
            if let Some(dir) = path.parent() {
                // SQLite syncs the directory that its files are in, and none above.
                files::make_dir_durably(dir, 0o700)?;
            }
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(PATIENCE)?;
            // Only a store that is empty yet takes it, and any other would be written to; an older one gets it from
            // `compact`.
            if connection.pragma_query_value(None, "page_count", |row| row.get::<_, u64>(0))? == 0 {
                connection.pragma_update(None, "auto_vacuum", "incremental")?;
            }
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "journal_size_limit", care::WAL_KEPT)?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            migrate(&mut connection, path)?;
            Ok(connection)
        };
        let mut connection = open().map_err(|error| match is_damage(&error) {
            true => care::named(error, path),
            false => error.context(
                Fail::new(format!("could not open the store `{}`", path.display()))
                    .hint("`cicdctl doctor` checks disk and permissions; the file is an SQLite database"),
            ),
        })?;
        let (work, todo) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("store".into()).spawn(move || {
            for work in todo {
                work(&mut connection);
            }
        })?;
        Ok(Store { work, asks: Arc::default() })
    }

    /// Whether it can be written to. Waits for another process that writes as long as any change would; to have opened
    /// one of this schema says nothing about that.
    pub async fn check_writable(&self) -> Result<()> {
        self.run(|connection| Ok(begin(connection)?.rollback()?)).await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let work = move |connection: &mut Connection| {
            let done_with = work(connection);
            let done_with =
                done_with.map_err(|error| care::named(error, Path::new(connection.path().unwrap_or_default())));
            // Who asked may have gone away.
            let _ = done.send(done_with);
        };
        self.send(work)?;
        answer.await.map_err(|_| anyhow!("the store has ended"))?
    }

    fn send(&self, work: impl FnOnce(&mut Connection) + Send + 'static) -> Result<()> {
        self.work.send(Box::new(work)).map_err(|_| anyhow!("the store has ended"))
    }

    pub async fn job(&self, id: &str) -> Result<Option<Job>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let sql = format!("SELECT {COLUMNS}, review FROM jobs WHERE id = ?1");
            let found = connection
                .prepare_cached(&sql)?
                .query_row([&id], |row| Ok((job_of_row(row)?, row.get::<_, Option<String>>("review")?)))
                .optional()?;
            let Some((mut job, review)) = found else { return Ok(None) };
            job.review =
                review.map(|text| serde_json::from_str(&text)).transpose().context("a stored review cannot be read")?;
            pause::explain(connection, [&mut job])?;
            Ok(Some(job))
        })
        .await
    }

    /// `None` where there is no such job.
    pub async fn job_state(&self, id: &str) -> Result<Option<JobState>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let state: Option<String> = connection
                .prepare_cached("SELECT state FROM jobs WHERE id = ?1")?
                .query_row([&id], |row| row.get(0))
                .optional()?;
            Ok(state.as_deref().map(state_of))
        })
        .await
    }

    /// The review that this very job has made before, where it could not be published.
    pub async fn unpublished(&self, id: &str) -> Result<Option<Earlier>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let row = connection
                .prepare_cached(
                    "SELECT id, head, base, digest, review FROM jobs
                     WHERE id = ?1 AND json_extract(review, '$.unpublished') IS NOT NULL
                     AND head IS NOT NULL AND base IS NOT NULL AND digest IS NOT NULL",
                )?
                .query_row([&id], earlier_of_row)
                .optional()?;
            Ok(row.and_then(readable))
        })
        .await
    }

    /// The newest reviews of a pull request (`owner/name#42`), newest first.
    pub async fn earlier(&self, pull: &str, limit: u32) -> Result<Vec<Earlier>> {
        let pull = pull.to_lowercase();
        self.run(move |connection| {
            let rows: Vec<Row5> = connection
                .prepare_cached(
                    "SELECT id, head, base, digest, review FROM jobs
                     WHERE pull = ?1 AND pull IS NOT NULL AND state = 'ended' AND outcome IN ('reviewed', 'partial')
                     AND head IS NOT NULL AND base IS NOT NULL AND digest IS NOT NULL AND review IS NOT NULL
                     ORDER BY ended_ms DESC LIMIT ?2",
                )?
                .query_map(params![pull, limit], earlier_of_row)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().filter_map(readable).collect())
        })
        .await
    }

    /// The newest jobs of pull requests of this number first, without their reviews; those of one repository
    /// (`owner/name`) and of one agent where these are given.
    pub async fn jobs_of_pull(
        &self,
        number: u64,
        repo: Option<&str>,
        agent: Option<AgentName>,
        limit: u32,
    ) -> Result<Vec<Job>> {
        let repo = repo.map(str::to_lowercase);
        self.run(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM jobs
                 WHERE json_extract(request, '$.pr') = ?1
                 AND (?2 IS NULL OR coalesce(pull, lower(json_extract(request, '$.repo')) || '#' || ?1) = ?2 || '#' || ?1)
                 AND (?3 IS NULL OR agent = ?3)
                 ORDER BY id DESC LIMIT ?4"
            );
            let mut jobs: Vec<Job> = connection
                .prepare_cached(&sql)?
                .query_map(params![number, repo, agent.as_ref().map(AgentName::as_str), limit], job_of_row)?
                .collect::<rusqlite::Result<_>>()?;
            pause::explain(connection, &mut jobs)?;
            Ok(jobs)
        })
        .await
    }

    /// The newest jobs first, without their reviews.
    pub async fn jobs(&self, agent: Option<AgentName>, limit: u32) -> Result<Vec<Job>> {
        self.run(move |connection| {
            let filter = if agent.is_some() { "WHERE agent = ?1" } else { "WHERE ?1 IS NULL" };
            let sql = format!("SELECT {COLUMNS} FROM jobs {filter} ORDER BY id DESC LIMIT ?2");
            let mut jobs: Vec<Job> = connection
                .prepare_cached(&sql)?
                .query_map(params![agent.as_ref().map(AgentName::as_str), limit], job_of_row)?
                .collect::<rusqlite::Result<_>>()?;
            pause::explain(connection, &mut jobs)?;
            Ok(jobs)
        })
        .await
    }

    /// How many jobs are queued and running, for one scope.
    pub async fn open_jobs(&self, agent: Option<AgentName>) -> Result<(u64, u64)> {
        self.run(move |connection| {
            let sql = format!("SELECT count(*) FROM jobs WHERE {OPEN} AND state = ?2");
            let count = |connection: &Connection, state: &str| -> Result<u64> {
                Ok(connection
                    .prepare_cached(&sql)?
                    .query_row(params![agent.as_ref().map(AgentName::as_str), state], |row| row.get(0))?)
            };
            Ok((count(connection, "queued")?, count(connection, "running")?))
        })
        .await
    }

    /// What waits and runs: in the scope of one agent, or in all.
    pub async fn queue(&self, agent: Option<AgentName>) -> Result<Queue> {
        self.run(move |connection| {
            // By `state != 'ended'` the index of open jobs is taken, which stays small.
            let sql = "SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'),
                              min(created_ms) FILTER (WHERE state = 'queued'),
                              min(not_before_ms) FILTER (WHERE state = 'queued' AND not_before_ms > ?2)
                       FROM jobs WHERE state != 'ended' AND (?1 IS NULL OR agent = ?1)";
            Ok(connection.prepare_cached(sql)?.query_row(
                params![agent.as_ref().map(AgentName::as_str), now_ms()],
                |row| {
                    Ok(Queue {
                        queued: row.get(0)?,
                        running: row.get(1)?,
                        oldest_queued_ms: row.get(2)?,
                        next_try_ms: row.get(3)?,
                    })
                },
            )?)
        })
        .await
    }

    /// How jobs ended lately, in `slices` parts of `slice_ms` each, the oldest first and the last one up to now. Jobs
    /// that are older than a day and the whole of that are not looked for.
    pub async fn history(&self, agent: Option<AgentName>, slices: usize, slice_ms: i64) -> Result<Vec<Slice>> {
        self.run(move |connection| {
            let from = now_ms() - slice_ms * slices as i64;
            // Names of jobs begin with the time at which they were accepted.
            let first = ulid::Ulid::from_parts(u64::try_from(from - 24 * 3_600_000).unwrap_or(0), 0).to_string();
            let sql = "SELECT (ended_ms - ?1) / ?2, outcome, count(*) FROM jobs
                       WHERE id >= ?3 AND state = 'ended' AND ended_ms >= ?1 AND (?4 IS NULL OR agent = ?4)
                       GROUP BY 1, 2";
            let mut history = vec![Slice::default(); slices];
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![from, slice_ms, first, agent.as_ref().map(AgentName::as_str)])?;
            while let Some(row) = rows.next()? {
                let (index, outcome, jobs): (usize, Option<String>, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
                // One that ends while this is looked at, or ended in a time that is still to come.
                let slice = &mut history[index.min(slices - 1)];
                match outcome.as_deref() {
                    Some("reviewed") => slice.reviewed += jobs,
                    Some("partial" | "failed") => slice.failed += jobs,
                    _ => slice.other += jobs,
                }
            }
            Ok(history)
        })
        .await
    }

    /// Number of a job's last event; 0 where there is none.
    pub async fn last_event(&self, id: &str) -> Result<u64> {
        let id = id.to_owned();
        self.run(move |connection| {
            let sql = "SELECT coalesce(max(seq), 0) FROM events WHERE job = ?1";
            Ok(connection.prepare_cached(sql)?.query_row([&id], |row| row.get(0))?)
        })
        .await
    }

    /// How many events of its engine a job has after event number `after`.
    pub async fn engine_events(&self, id: &str, after: u64) -> Result<usize> {
        let id = id.to_owned();
        self.run(move |connection| {
            let sql = "SELECT count(*) FROM events
                       WHERE job = ?1 AND seq > ?2 AND json_extract(what, '$.event') = 'engine'";
            Ok(connection.prepare_cached(sql)?.query_row(params![id, after], |row| row.get(0))?)
        })
        .await
    }

    /// What happened to a job after event number `after`.
    pub async fn events(&self, id: &str, after: u64) -> Result<Vec<JobEvent>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let rows: Vec<(u64, i64, String)> = connection
                .prepare_cached(
                    "SELECT seq, at_ms, what FROM events WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT 1000",
                )?
                .query_map(params![id, after], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<_>>()?;
            rows.into_iter()
                .map(|(seq, at_ms, what)| Ok(JobEvent { seq, at_ms, what: serde_json::from_str(&what)? }))
                .collect()
        })
        .await
    }
}

/// Whether an error means that another process holds the store locked.
pub fn is_locked(error: &anyhow::Error) -> bool {
    has_code(error, &[ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked])
}

/// Whether one of these codes of SQLite is among the causes.
pub fn has_code(error: &anyhow::Error, codes: &[ErrorCode]) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<rusqlite::Error>()?.sqlite_error_code())
        .any(|code| codes.contains(&code))
}

/// Job, head, base, digest and the review as JSON.
type Row5 = [String; 5];

fn earlier_of_row(row: &Row<'_>) -> rusqlite::Result<Row5> {
    Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?])
}

/// One that cannot be read is no reason to review nothing any more.
fn readable([job, head, base, digest, review]: Row5) -> Option<Earlier> {
    match serde_json::from_str(&review) {
        Ok(review) => Some(Earlier { job, head, base, digest, review }),
        Err(error) => {
            tracing::warn!("the stored review of job {job} cannot be read, ignoring it: {error}");
            None
        }
    }
}

/// Ids sort as the jobs were accepted, also those of one millisecond.
fn next_id() -> String {
    static IDS: Mutex<ulid::Generator> = Mutex::new(ulid::Generator::new());
    let mut ids = IDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ids.generate().unwrap_or_else(ulid::Overflow::commit_overflow_increment).to_string()
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

const COLUMNS: &str = "id, state, agent, request, created_ms, started_ms, ended_ms, attempts, outcome, reason, pull, \
                       head, not_before_ms, deferrals";

/// What has not ended in the scope of ?1. In these very words: SQLite takes the partial index `jobs_open` only for a
/// condition that it finds in the query, and does not conclude it from `state = 'queued'`.
const OPEN: &str = "state != 'ended' AND agent IS ?1";

fn job_of_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    let bad = |index: usize, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error)
    };
    let state: String = row.get(1)?;
    let agent: Option<String> = row.get(2)?;
    let request: String = row.get(3)?;
    let outcome: Option<String> = row.get(8)?;
    Ok(Job {
        id: row.get(0)?,
        state: state_of(&state),
        agent: agent.map(|name| name.parse().map_err(|error: String| bad(2, error.into()))).transpose()?,
        request: serde_json::from_str(&request).map_err(|error| bad(3, error.into()))?,
        created_ms: row.get(4)?,
        started_ms: row.get(5)?,
        ended_ms: row.get(6)?,
        attempts: row.get(7)?,
        outcome: outcome.map(|text| text.parse().map_err(|error: String| bad(8, error.into()))).transpose()?,
        reason: row.get(9)?,
        pull: row.get(10)?,
        head: row.get(11)?,
        not_before_ms: row.get(12)?,
        deferrals: row.get(13)?,
        waits_because: None,
        review: None,
    })
}

fn state_of(text: &str) -> JobState {
    match text {
        "queued" => JobState::Queued,
        "running" => JobState::Running,
        _ => JobState::Ended,
    }
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

fn append(transaction: &Transaction<'_>, id: &str, what: &Happening) -> Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO events (job, seq, at_ms, what)
             SELECT ?1, coalesce(max(seq), 0) + 1, ?2, ?3 FROM events WHERE job = ?1",
        )?
        .execute(params![id, now_ms(), serde_json::to_string(what)?])?;
    match what {
        Happening::Engine { progress } => totals::progressed(transaction, progress),
        _ => Ok(()),
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let schema = |connection: &Connection| connection.pragma_query_value(None, "user_version", |row| row.get(0));
    // Whoever only looks is not kept waiting by who writes.
    let version: usize = schema(connection)?;
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    let transaction = begin(connection)?;
    // Another process may have been faster.
    let version: usize = schema(&transaction)?;
    if (1..SCHEMA_VERSION).contains(&version) {
        care::back_up(path, version)?;
    }
    match version {
        0 => transaction.execute_batch(include_str!("schema.sql"))?,
        1 => transaction.execute_batch(include_str!("from-1-to-2.sql"))?,
        SCHEMA_VERSION => return Ok(()),
        newer if newer > SCHEMA_VERSION => {
            anyhow::bail!("it was written by a newer cicdctl (schema {newer}, this one knows {SCHEMA_VERSION})")
        }
        _ => {}
    }
    for step in STEPS.into_iter().skip(version.saturating_sub(2)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReviewRequest;

    #[tokio::test]
    async fn the_queue_is_counted_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let agent: AgentName = "shop".parse().unwrap();
        for number in 0..300 {
            let agent = (number % 3 == 0).then(|| agent.clone());
            let ask =
                Ask { agent, request: ReviewRequest { pr: Some(number + 1), ..Default::default() }, ..Ask::default() };
            store.accept(ask).await.unwrap();
        }
        let oldest = store.claim(None).await.unwrap().unwrap();
        let all = store.queue(None).await.unwrap();
        assert_eq!((all.queued, all.running), (299, 1));
        assert!(all.oldest_queued_ms.is_some_and(|ms| ms <= oldest.created_ms + 60_000));
        let shop = store.queue(Some(agent)).await.unwrap();
        assert_eq!((shop.queued, shop.running), (100, 0));
        assert_eq!(store.queue(Some("nobody".parse().unwrap())).await.unwrap(), Queue::default());
    }

    #[tokio::test]
    async fn a_store_of_the_first_schema_becomes_one_of_this() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
        let connection = Connection::open(&old).unwrap();
        connection.execute_batch(include_str!("../../tests/fixtures/store/schema-1.sql")).unwrap();
        connection
            .execute_batch(
                "PRAGMA user_version = 1;
                 INSERT INTO jobs (id, state, request, created_ms) VALUES ('01J', 'queued', '{\"pr\":42}', 1);",
            )
            .unwrap();
        drop(connection);
        let store = Store::open(&old).unwrap();
        assert_eq!(store.claim(None).await.unwrap().unwrap().request.pr, Some(42));
        let shape = |store: Store| async move {
            store
                .run(|connection| {
                    let sql = "SELECT m.name, m.type, coalesce(group_concat(c.name || c.type || c.\"notnull\"), '')
                               FROM sqlite_schema m LEFT JOIN pragma_table_info(m.name) c GROUP BY m.name ORDER BY m.name";
                    let rows: Vec<(String, String, String)> = connection
                        .prepare(sql)?
                        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                        .collect::<rusqlite::Result<_>>()?;
                    let sorted = |columns: String| {
                        let mut columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
                        columns.sort();
                        columns
                    };
                    Ok(rows.into_iter().map(|(name, kind, columns)| (name, kind, sorted(columns))).collect::<Vec<_>>())
                })
                .await
                .unwrap()
        };
        assert_eq!(shape(store).await, shape(Store::open(&new).unwrap()).await);
    }
}
