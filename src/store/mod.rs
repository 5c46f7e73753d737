//! The truth about jobs: one SQLite file per user in WAL mode, shared by the runner and every agent. What a method
//! has returned from is on disk (`synchronous=FULL`), so a 202 after [`Store::accept`] is a promise.
//!
//! SQLite blocks, so the connection lives in a thread of its own; the methods send it closures and wait.

use std::path::Path;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use crate::agent::AgentName;
use crate::api::{Happening, Job, JobEvent, JobState, ReviewRequest};
use crate::error::Fail;
use crate::files;
use crate::review::{Outcome, Review};

/// Bump it together with a migration in [`migrate`].
const SCHEMA_VERSION: i64 = 1;
/// After so many beginnings a job that never ends is given up.
pub const MAX_ATTEMPTS: u32 = 3;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    work: mpsc::Sender<Work>,
}

/// What [`Store::cancel`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not begun and has ended now.
    AtOnce,
    /// Whoever runs it has been told.
    Asked,
    AlreadyEnded,
    NoSuchJob,
}

impl Store {
    pub fn open(path: &Path) -> Result<Store> {
        let open = || -> Result<Connection> {
            if let Some(dir) = path.parent() {
                files::make_dir(dir, 0o700)?;
            }
            let mut connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(20))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "synchronous", "full")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            migrate(&mut connection)?;
            Ok(connection)
        };
        let mut connection = open().with_context(|| {
            Fail::new(format!("could not open the store `{}`", path.display()))
                .hint("`cicdctl doctor` checks disk and permissions; the file is an SQLite database")
        })?;
        let (work, todo) = mpsc::channel::<Work>();
        std::thread::Builder::new().name("store".into()).spawn(move || {
            for work in todo {
                work(&mut connection);
            }
        })?;
        Ok(Store { work })
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let work = move |connection: &mut Connection| {
            // Who asked may have gone away.
            let _ = done.send(work(connection));
        };
        self.work.send(Box::new(work)).map_err(|_| anyhow!("the store has ended"))?;
        answer.await.map_err(|_| anyhow!("the store has ended"))?
    }

    /// Writes a job down. When this returns the job survives whatever happens.
    pub async fn accept(&self, agent: Option<AgentName>, request: ReviewRequest) -> Result<Job> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let job = Job {
                id: next_id(),
                state: JobState::Queued,
                agent,
                request,
                created_ms: now_ms(),
                started_ms: None,
                ended_ms: None,
                attempts: 0,
                outcome: None,
                reason: None,
                review: None,
            };
            transaction
                .prepare_cached(
                    "INSERT INTO jobs (id, agent, state, request, created_ms) VALUES (?1, ?2, 'queued', ?3, ?4)",
                )?
                .execute(params![
                    job.id,
                    job.agent.as_ref().map(AgentName::as_str),
                    serde_json::to_string(&job.request)?,
                    job.created_ms
                ])?;
            append(&transaction, &job.id, &Happening::Accepted)?;
            transaction.commit()?;
            Ok(job)
        })
        .await
        .context("could not write the job down")
    }

    /// Takes the oldest job in the queue of `agent` (or of the runner).
    pub async fn claim(&self, agent: Option<AgentName>) -> Result<Option<Job>> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let sql = format!(
                "UPDATE jobs SET state = 'running', started_ms = ?2, attempts = attempts + 1
                 WHERE id = (SELECT id FROM jobs WHERE {OPEN} AND state = 'queued' ORDER BY id LIMIT 1)
                 RETURNING {COLUMNS}"
            );
            let job = transaction
                .prepare_cached(&sql)?
                .query_row(params![agent.as_ref().map(AgentName::as_str), now_ms()], job_of_row)
                .optional()?;
            if let Some(job) = &job {
                append(&transaction, &job.id, &Happening::Started { attempt: job.attempts })?;
            }
            transaction.commit()?;
            Ok(job)
        })
        .await
        .context("could not take a job from the queue")
    }

    /// Puts every running job of a scope whose process is gone back into the queue; those begun too often end as
    /// failed. Says how many of each.
    pub async fn recover(&self, agent: Option<AgentName>) -> Result<(usize, usize)> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let ids: Vec<(String, u32)> = transaction
                .prepare(&format!("SELECT id, attempts FROM jobs WHERE {OPEN} AND state = 'running'"))?
                .query_map([agent.as_ref().map(AgentName::as_str)], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let (mut requeued, mut failed) = (0, 0);
            for (id, attempts) in ids {
                if attempts >= MAX_ATTEMPTS {
                    let reason = format!("the runner ended {attempts} times while it worked on this job");
                    end(&transaction, &id, Outcome::Failed, Some(&reason), None)?;
                    failed += 1;
                } else {
                    transaction.execute("UPDATE jobs SET state = 'queued', started_ms = NULL WHERE id = ?1", [&id])?;
                    append(
                        &transaction,
                        &id,
                        &Happening::Requeued { reason: "the runner ended while it worked on it".into() },
                    )?;
                    requeued += 1;
                }
            }
            transaction.commit()?;
            Ok((requeued, failed))
        })
        .await
        .context("could not recover unfinished jobs")
    }

    /// Back into the queue, without this beginning being counted: nobody is to blame for a stop.
    pub async fn requeue(&self, id: &str, reason: &str) -> Result<()> {
        let (id, reason) = (id.to_owned(), reason.to_owned());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let changed = transaction.execute(
                "UPDATE jobs SET state = 'queued', started_ms = NULL, attempts = max(attempts - 1, 0)
                 WHERE id = ?1 AND state = 'running'",
                [&id],
            )?;
            if changed == 1 {
                append(&transaction, &id, &Happening::Requeued { reason })?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
        .context("could not put the job back into the queue")
    }

    pub async fn finish(&self, id: &str, review: Review) -> Result<()> {
        let id = id.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            end(&transaction, &id, review.outcome, review.reason.as_deref(), Some(&review))?;
            transaction.commit()?;
            Ok(())
        })
        .await
        .context("could not write the end of the job down")
    }

    /// Adds to what happened to a job.
    pub async fn append(&self, id: &str, what: Happening) -> Result<()> {
        let id = id.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            append(&transaction, &id, &what)?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    pub async fn cancel(&self, id: &str) -> Result<Cancelled> {
        let id = id.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let state: Option<String> =
                transaction.query_row("SELECT state FROM jobs WHERE id = ?1", [&id], |row| row.get(0)).optional()?;
            let found = match state.as_deref() {
                None => Cancelled::NoSuchJob,
                Some("ended") => Cancelled::AlreadyEnded,
                Some("queued") => {
                    end(&transaction, &id, Outcome::Cancelled, Some("cancelled before it began"), None)?;
                    Cancelled::AtOnce
                }
                _ => {
                    transaction.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?1", [&id])?;
                    Cancelled::Asked
                }
            };
            transaction.commit()?;
            Ok(found)
        })
        .await
    }

    pub async fn is_cancelled(&self, id: &str) -> Result<bool> {
        let id = id.to_owned();
        self.run(move |connection| {
            let cancelled = connection
                .prepare_cached("SELECT cancelled FROM jobs WHERE id = ?1")?
                .query_row([&id], |row| row.get::<_, bool>(0))
                .optional()?;
            Ok(cancelled.unwrap_or(false))
        })
        .await
    }

    pub async fn job(&self, id: &str) -> Result<Option<Job>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let sql = format!("SELECT {COLUMNS}, review FROM jobs WHERE id = ?1");
            let found = connection
                .prepare_cached(&sql)?
                .query_row([&id], |row| Ok((job_of_row(row)?, row.get::<_, Option<String>>(10)?)))
                .optional()?;
            let Some((mut job, review)) = found else { return Ok(None) };
            job.review =
                review.map(|text| serde_json::from_str(&text)).transpose().context("a stored review cannot be read")?;
            Ok(Some(job))
        })
        .await
    }

    /// The newest jobs first, without their reviews.
    pub async fn jobs(&self, agent: Option<AgentName>, limit: u32) -> Result<Vec<Job>> {
        self.run(move |connection| {
            let filter = if agent.is_some() { "WHERE agent = ?1" } else { "WHERE ?1 IS NULL" };
            let sql = format!("SELECT {COLUMNS} FROM jobs {filter} ORDER BY id DESC LIMIT ?2");
            let jobs = connection
                .prepare_cached(&sql)?
                .query_map(params![agent.as_ref().map(AgentName::as_str), limit], job_of_row)?
                .collect::<rusqlite::Result<_>>()?;
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

    /// How many jobs ended in each outcome.
    pub async fn outcomes(&self) -> Result<Vec<(Outcome, u64)>> {
        self.run(|connection| {
            let rows: Vec<(String, u64)> = connection
                .prepare_cached("SELECT outcome, count(*) FROM jobs WHERE state = 'ended' GROUP BY outcome")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            rows.into_iter()
                .map(|(name, count)| Ok((name.parse().map_err(|error: String| anyhow!(error))?, count)))
                .collect()
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

const COLUMNS: &str = "id, state, agent, request, created_ms, started_ms, ended_ms, attempts, outcome, reason";

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
        state: match state.as_str() {
            "queued" => JobState::Queued,
            "running" => JobState::Running,
            _ => JobState::Ended,
        },
        agent: agent.map(|name| name.parse().map_err(|error: String| bad(2, error.into()))).transpose()?,
        request: serde_json::from_str(&request).map_err(|error| bad(3, error.into()))?,
        created_ms: row.get(4)?,
        started_ms: row.get(5)?,
        ended_ms: row.get(6)?,
        attempts: row.get(7)?,
        outcome: outcome.map(|text| text.parse().map_err(|error: String| bad(8, error.into()))).transpose()?,
        reason: row.get(9)?,
        review: None,
    })
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
    Ok(())
}

/// The end of a job; a job that has ended stays as it ended.
fn end(
    transaction: &Transaction<'_>,
    id: &str,
    outcome: Outcome,
    reason: Option<&str>,
    review: Option<&Review>,
) -> Result<()> {
    let review = review.map(serde_json::to_string).transpose()?;
    let changed = transaction.execute(
        "UPDATE jobs SET state = 'ended', ended_ms = ?2, outcome = ?3, reason = ?4, review = ?5
         WHERE id = ?1 AND state != 'ended'",
        params![id, now_ms(), outcome.as_str(), reason, review],
    )?;
    if changed == 1 {
        append(transaction, id, &Happening::Ended { outcome, reason: reason.map(str::to_owned) })?;
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = begin(connection)?;
    let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version {
        0 => transaction.execute_batch(include_str!("schema.sql"))?,
        SCHEMA_VERSION => return Ok(()),
        newer => anyhow::bail!("it was written by a newer cicdctl (schema {newer}, this one knows {SCHEMA_VERSION})"),
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store)
    }

    fn review(job: &Job, outcome: Outcome) -> Review {
        Review {
            job: job.id.clone(),
            project: "p".into(),
            subject: "s".into(),
            outcome,
            reason: None,
            summary: None,
            findings: Vec::new(),
            receipt: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_job_goes_from_the_queue_to_its_end_and_every_step_is_an_event() {
        let (_dir, store) = store();
        let job = store.accept(None, ReviewRequest { pr: Some(42), ..Default::default() }).await.unwrap();
        assert_eq!(store.claim(Some("other".parse().unwrap())).await.unwrap(), None);
        let claimed = store.claim(None).await.unwrap().unwrap();
        assert_eq!((claimed.id.as_str(), claimed.attempts), (job.id.as_str(), 1));
        assert_eq!(store.claim(None).await.unwrap(), None);
        assert_eq!(store.open_jobs(None).await.unwrap(), (0, 1));
        store.finish(&job.id, review(&job, Outcome::Reviewed)).await.unwrap();
        let ended = store.job(&job.id).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.outcome), (JobState::Ended, Some(Outcome::Reviewed)));
        assert!(ended.review.is_some());
        let events = store.events(&job.id, 0).await.unwrap();
        assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(store.events(&job.id, 2).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn jobs_of_one_millisecond_are_claimed_in_the_order_in_which_they_were_accepted() {
        let ids: Vec<String> = (0..1000).map(|_| next_id()).collect();
        assert!(ids.is_sorted());
        let (_dir, store) = store();
        for pr in 1..=20 {
            store.accept(None, ReviewRequest { pr: Some(pr), ..Default::default() }).await.unwrap();
        }
        for pr in 1..=20 {
            assert_eq!(store.claim(None).await.unwrap().unwrap().request.pr, Some(pr));
        }
    }

    #[tokio::test]
    async fn an_end_is_final() {
        let (_dir, store) = store();
        let job = store.accept(None, ReviewRequest::default()).await.unwrap();
        store.claim(None).await.unwrap();
        store.finish(&job.id, review(&job, Outcome::Failed)).await.unwrap();
        store.finish(&job.id, review(&job, Outcome::Reviewed)).await.unwrap();
        assert_eq!(store.job(&job.id).await.unwrap().unwrap().outcome, Some(Outcome::Failed));
        assert_eq!(store.cancel(&job.id).await.unwrap(), Cancelled::AlreadyEnded);
    }

    #[tokio::test]
    async fn jobs_of_a_crashed_runner_are_begun_again_but_not_for_ever() {
        let (_dir, store) = store();
        let job = store.accept(None, ReviewRequest::default()).await.unwrap();
        for attempt in 1..MAX_ATTEMPTS {
            assert_eq!(store.claim(None).await.unwrap().unwrap().attempts, attempt);
            assert_eq!(store.recover(None).await.unwrap(), (1, 0));
        }
        store.claim(None).await.unwrap().unwrap();
        assert_eq!(store.recover(None).await.unwrap(), (0, 1));
        let job = store.job(&job.id).await.unwrap().unwrap();
        assert_eq!(job.outcome, Some(Outcome::Failed));
        assert!(job.reason.unwrap().contains("3 times"));
    }

    #[tokio::test]
    async fn a_stop_is_not_counted_as_an_attempt() {
        let (_dir, store) = store();
        let job = store.accept(None, ReviewRequest::default()).await.unwrap();
        for _ in 0..10 {
            assert_eq!(store.claim(None).await.unwrap().unwrap().attempts, 1);
            store.requeue(&job.id, "stopped").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_queued_job_is_cancelled_at_once_and_a_running_one_is_told() {
        let (_dir, store) = store();
        let first = store.accept(None, ReviewRequest::default()).await.unwrap();
        let second = store.accept(None, ReviewRequest::default()).await.unwrap();
        store.claim(None).await.unwrap();
        assert_eq!(store.cancel(&first.id).await.unwrap(), Cancelled::Asked);
        assert!(store.is_cancelled(&first.id).await.unwrap());
        assert_eq!(store.cancel(&second.id).await.unwrap(), Cancelled::AtOnce);
        assert_eq!(store.cancel("nothing").await.unwrap(), Cancelled::NoSuchJob);
    }

    #[tokio::test]
    async fn two_processes_share_the_file_and_no_job_is_claimed_twice() {
        let (dir, first) = store();
        let second = Store::open(&dir.path().join("store.db")).unwrap();
        for _ in 0..50 {
            first.accept(None, ReviewRequest::default()).await.unwrap();
        }
        let mut claimed = Vec::new();
        loop {
            let (a, b) = tokio::join!(first.claim(None), second.claim(None));
            let (a, b) = (a.unwrap(), b.unwrap());
            if a.is_none() && b.is_none() {
                break;
            }
            claimed.extend(a.into_iter().chain(b).map(|job| job.id));
        }
        claimed.sort();
        let all = claimed.len();
        claimed.dedup();
        assert_eq!((claimed.len(), all), (50, 50));
    }

    #[tokio::test]
    async fn the_queue_is_found_without_a_look_at_what_has_ended() {
        let (_dir, store) = store();
        let plans: Vec<String> = store
            .run(|connection| {
                ["queued", "running"]
                    .into_iter()
                    .map(|state| {
                        let sql = format!(
                            "EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE {OPEN} AND state = '{state}' ORDER BY id"
                        );
                        Ok(connection.query_row(&sql, [None::<&str>], |row| row.get(3))?)
                    })
                    .collect()
            })
            .await
            .unwrap();
        assert!(plans.iter().all(|plan| plan.contains("INDEX jobs_open")), "{plans:?}");
    }
}
