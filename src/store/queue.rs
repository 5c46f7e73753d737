//! The way of a job through the store: accepted, claimed, perhaps back in the queue, ended. Every method is one
//! transaction, as the runner, the agents and the command line work on one file.

use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tokio::sync::oneshot;

use super::{COLUMNS, OPEN, Pause, Store, append, begin, care, job_of_row, next_id, now_ms, pause, totals};
use crate::agent::AgentName;
use crate::api::{Happening, Job, JobState, ReviewRequest, Trigger};
use crate::quantity::{count, duration};
use crate::review::{Outcome, Review};

/// What is held against a job whose process died while it worked on it, and on one whose engine had work of its own in
/// its cage at that time: that one is hardly to blame, and is only given up after many more.
const BLAME: u32 = 5;
const LITTLE_BLAME: u32 = 1;
/// So long a job waits after it was to blame once, twice, …; then it is given up.
const WAITS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// How a process ended that worked on a job, or what its work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It was told to stop.
    None,
    /// The engine worked by itself.
    Little,
    Full,
}

impl Blame {
    fn weight(self) -> u32 {
        match self {
            Blame::None => 0,
            Blame::Little => LITTLE_BLAME,
            Blame::Full => BLAME,
        }
    }
}

/// What is to be accepted.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Whose job it will be; the runner's own where it is absent.
    pub agent: Option<AgentName>,
    pub request: ReviewRequest,
    /// `owner/name#42`, where the repository is known.
    pub pull: Option<String>,
    /// Milliseconds since 1970.
    pub not_before_ms: Option<i64>,
}

/// What waits to be accepted, and who waits for that.
pub(super) type Asks = Vec<(Ask, oneshot::Sender<Result<Accepted>>)>;

/// What [`Store::next`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Job(Box<Job>),
    /// Nothing is begun for now.
    Paused(Pause),
    Nothing,
}

/// What became of an [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    pub job: Job,
    /// The same had been asked before, and that job has not ended.
    pub known: bool,
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

/// Why a running job is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Cancelled,
    /// A newer head of the pull request is being reviewed.
    Superseded,
}

impl Store {
    /// Writes a job down. When this returns the job survives whatever happens.
    ///
    /// Asking twice is harmless: what has not ended yet and is the same is handed back instead. Of a running job that is
    /// said only where both name the head; otherwise the head may be another one since it began.
    ///
    /// What others ask for while one transaction is on its way to the disk goes into the next one together: a hundred
    /// jobs that come at once wait for a few syncs and not for a hundred.
    pub async fn accept(&self, ask: Ask) -> Result<Accepted> {
        let asks = self.asks.clone();
        let (done, answer) = oneshot::channel();
        asks.lock().unwrap_or_else(PoisonError::into_inner).push((ask, done));
        self.send(move |connection| {
            let waiting = std::mem::take(&mut *asks.lock().unwrap_or_else(PoisonError::into_inner));
            let (asks, who): (Vec<Ask>, Vec<_>) = waiting.into_iter().unzip();
            for (accepted, who) in accept_all(connection, &asks).into_iter().zip(who) {
                // Who asked may have gone away.
                let _ = who.send(accepted);
            }
        })?;
        answer.await.context("the store has ended").flatten().context("could not write the job down")
    }

    /// Takes the oldest job in the queue of `agent` (or of the runner) whose time has come, unless that is paused.
    ///
    /// One head of a pull request is reviewed by one job at a time. A job that names another head begins at once: it
    /// may be the one that makes the other obsolete.
    pub async fn claim(&self, agent: Option<AgentName>) -> Result<Option<Job>> {
        match self.next(agent).await? {
            Next::Job(job) => Ok(Some(*job)),
            Next::Nothing | Next::Paused(_) => Ok(None),
        }
    }

    /// As [`Store::claim`]; says of a pause what it is.
    ///
    /// What was put off by a clock that is ahead of the one of now is looked at again: it would wait for as long as the
    /// clock was set back, and finds by itself whether it has to be put off once more.
    pub async fn next(&self, agent: Option<AgentName>) -> Result<Next> {
        self.run(move |connection| {
            let now = now_ms();
            let transaction = begin(connection)?;
            if let Some(pause) = pause::active(&transaction, agent.as_ref(), now)? {
                transaction.commit()?;
                return Ok(Next::Paused(pause));
            }
            let sql = format!(
                "UPDATE jobs SET state = 'running', started_ms = ?2, attempts = attempts + 1, not_before_ms = NULL
                 WHERE id = (
                     SELECT id FROM jobs AS next
                     WHERE {OPEN} AND state = 'queued'
                     AND (not_before_ms IS NULL OR not_before_ms <= ?2 OR ?2 < coalesce(put_off_ms, created_ms))
                     AND NOT EXISTS (
                         SELECT 1 FROM jobs AS other
                         WHERE next.pull IS NOT NULL AND other.pull = next.pull AND other.pull IS NOT NULL
                         AND other.state = 'running'
                         AND (other.head IS NULL OR next.head IS NULL OR other.head = next.head)
                     )
                     ORDER BY id LIMIT 1
                 )
                 RETURNING {COLUMNS}"
            );
            let job = transaction
                .prepare_cached(&sql)?
                .query_row(params![agent.as_ref().map(AgentName::as_str), now], job_of_row)
                .optional()?;
            if let Some(job) = &job {
                append(&transaction, &job.id, &Happening::Started { attempt: job.attempts })?;
            }
            transaction.commit()?;
            Ok(job.map_or(Next::Nothing, |job| Next::Job(Box::new(job))))
        })
        .await
        .context("could not take a job from the queue")
    }

    /// Notes the head that a running job of a pull request reviews; `found_ms` is when the forge was asked. Running
    /// jobs that asked earlier and found another head are told to end.
    pub async fn found_head(&self, id: &str, head: &str, found_ms: i64) -> Result<()> {
        let (id, head) = (id.to_owned(), head.to_owned());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            transaction.execute(
                "UPDATE jobs SET head = ?2, found_ms = ?3 WHERE id = ?1 AND state = 'running'",
                params![id, head, found_ms],
            )?;
            transaction.execute(
                "UPDATE jobs SET cancelled = 2
                 WHERE pull = (SELECT pull FROM jobs WHERE id = ?1) AND pull IS NOT NULL AND id != ?1
                 AND state = 'running' AND cancelled = 0 AND found_ms < ?3 AND head != ?2",
                params![id, head, found_ms],
            )?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Notes all that decides how a job reviews; see [`Store::earlier`](super::Store::earlier).
    pub async fn found_terms(&self, id: &str, base: &str, digest: &str) -> Result<()> {
        let (id, base, digest) = (id.to_owned(), base.to_owned(), digest.to_owned());
        self.run(move |connection| {
            connection.execute("UPDATE jobs SET base = ?2, digest = ?3 WHERE id = ?1", params![id, base, digest])?;
            Ok(())
        })
        .await
    }

    /// Whether another job of the same pull request is for this head: waiting, running (unless it was told to end), or
    /// ended with a review.
    pub async fn has_job_for(&self, id: &str, head: &str) -> Result<bool> {
        let (id, head) = (id.to_owned(), head.to_owned());
        self.run(move |connection| {
            Ok(connection
                .query_row(
                    "SELECT 1 FROM jobs
                     WHERE pull = (SELECT pull FROM jobs WHERE id = ?1) AND pull IS NOT NULL AND id != ?1 AND head = ?2
                     AND (state != 'ended' AND cancelled = 0 OR outcome IN ('reviewed', 'partial', 'skipped'))
                     AND json_extract(request, '$.dry_run') IS NULL",
                    [&id, &head],
                    |_| Ok(()),
                )
                .optional()?
                .is_some())
        })
        .await
    }

    /// Puts every running job of a scope whose process is gone back into the queue; of those in `engines_left` the
    /// engine was at work. Those that were to be ended are, and those that were begun too often end as failed. Says how
    /// many are in the queue again, and how many have ended.
    pub async fn recover(&self, agent: Option<AgentName>, engines_left: Vec<String>) -> Result<(usize, usize)> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let running: Vec<(String, u8)> = transaction
                .prepare(&format!("SELECT id, cancelled FROM jobs WHERE {OPEN} AND state = 'running'"))?
                .query_map([agent.as_ref().map(AgentName::as_str)], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let (mut requeued, mut ended) = (0, 0);
            for (id, cancelled) in running {
                let is_back = match cancelled {
                    0 => {
                        let blame = if engines_left.contains(&id) { Blame::Little } else { Blame::Full };
                        again(&transaction, &id, "the runner ended while it worked on it", blame)?
                    }
                    1 => {
                        end(&transaction, &id, Outcome::Cancelled, Some("cancelled while it ran"), None)?;
                        false
                    }
                    _ => {
                        let reason = "a newer head of the pull request took its place";
                        end(&transaction, &id, Outcome::Superseded, Some(reason), None)?;
                        false
                    }
                };
                *if is_back { &mut requeued } else { &mut ended } += 1;
            }
            transaction.commit()?;
            Ok((requeued, ended))
        })
        .await
        .context("could not recover unfinished jobs")
    }

    /// Puts every job of a scope that its process still works on back into the queue; the process is about to end.
    pub async fn requeue_all(&self, agent: Option<AgentName>, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let running: Vec<String> = transaction
                .prepare(&format!("SELECT id FROM jobs WHERE {OPEN} AND state = 'running'"))?
                .query_map([agent.as_ref().map(AgentName::as_str)], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for id in running {
                again(&transaction, &id, &reason, Blame::None)?;
            }
            Ok(transaction.commit()?)
        })
        .await
        .context("could not put unfinished jobs back into the queue")
    }

    /// Back into the queue, after a while where that is not for the first time; or to its end, where it was too often.
    /// Says whether it is in the queue.
    pub async fn requeue(&self, id: &str, reason: &str, blame: Blame) -> Result<bool> {
        let (id, reason) = (id.to_owned(), reason.to_owned());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let is_back = again(&transaction, &id, &reason, blame)?;
            transaction.commit()?;
            Ok(is_back)
        })
        .await
        .context("could not put the job back into the queue")
    }

    /// Back into the queue until `until_ms` (since 1970): a quota is spent, or somebody is overloaded. `review` is how
    /// it stands until then.
    pub async fn defer(&self, id: &str, until_ms: i64, review: Review) -> Result<()> {
        let id = id.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let reason = review.reason.clone().unwrap_or_default();
            if back(&transaction, &id, &reason, Some(until_ms))? {
                transaction.execute(
                    "UPDATE jobs SET attempts = max(attempts - 1, 0), blame = 0, deferrals = deferrals + 1, review = ?2
                     WHERE id = ?1",
                    params![id, serde_json::to_string(&review)?],
                )?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
        .context("could not put the job off")
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
            let found: Option<(String, u32)> = transaction
                .query_row("SELECT state, attempts FROM jobs WHERE id = ?1", [&id], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let found = match found.as_ref().map(|(state, attempts)| (state.as_str(), *attempts)) {
                None => Cancelled::NoSuchJob,
                Some(("ended", _)) => Cancelled::AlreadyEnded,
                Some(("queued", attempts)) => {
                    let reason = match attempts {
                        0 => "cancelled before it began",
                        _ => "cancelled before it was begun again",
                    };
                    end(&transaction, &id, Outcome::Cancelled, Some(reason), None)?;
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

    /// Ends all that an agent has in hand, as it is to be no more.
    pub async fn end_all(&self, agent: &AgentName, reason: &str) -> Result<()> {
        let (agent, reason) = (agent.clone(), reason.to_owned());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let open: Vec<String> = transaction
                .prepare(&format!("SELECT id FROM jobs WHERE {OPEN}"))?
                .query_map([agent.as_str()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for id in open {
                end(&transaction, &id, Outcome::Cancelled, Some(&reason), None)?;
            }
            Ok(transaction.commit()?)
        })
        .await
        .context("could not end the agent's jobs")
    }

    /// Ends a job that was told to end where nobody is left who could do it.
    pub async fn cancel_left(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            end(&transaction, &id, Outcome::Cancelled, Some("cancelled after its runner had ended"), None)?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Whether a running job is to be ended, and why.
    pub async fn ending(&self, id: &str) -> Result<Option<Ending>> {
        let id = id.to_owned();
        self.run(move |connection| {
            let cancelled = connection
                .prepare_cached("SELECT cancelled FROM jobs WHERE id = ?1")?
                .query_row([&id], |row| row.get::<_, u8>(0))
                .optional()?;
            Ok(match cancelled {
                None | Some(0) => None,
                Some(2) => Some(Ending::Superseded),
                Some(_) => Some(Ending::Cancelled),
            })
        })
        .await
    }
}

/// One transaction for all; where that fails each has its own, so that nobody gets another's error.
fn accept_all(connection: &mut Connection, asks: &[Ask]) -> Vec<Result<Accepted>> {
    let mut together = |asks: &[Ask]| -> Result<Vec<Accepted>> {
        let transaction = begin(connection)?;
        let mut all = Vec::new();
        for ask in asks {
            let mut accepted = accept(&transaction, ask.clone(), true)?;
            pause::explain(&transaction, [&mut accepted.job])?;
            all.push(accepted);
        }
        transaction.commit()?;
        Ok(all)
    };
    if asks.len() > 1
        && let Ok(all) = together(asks)
    {
        return all.into_iter().map(Ok).collect();
    }
    let alone: Vec<_> = asks.chunks(1).map(together).collect();
    let path = Path::new(connection.path().unwrap_or_default());
    let named = |all: Result<Vec<Accepted>>| match all {
        Ok(mut all) => all.pop().context("nothing was accepted"),
        Err(error) => Err(care::named(error, path)),
    };
    alone.into_iter().map(named).collect()
}

/// [`Store::accept`] as part of a transaction. `or_running`: a job that runs for this head already will do, too.
pub(super) fn accept(transaction: &Transaction<'_>, ask: Ask, or_running: bool) -> Result<Accepted> {
    let Ask { agent, request, pull, not_before_ms } = ask;
    let pull = pull.map(|pull| pull.to_lowercase());
    let same = pull.as_deref().map(|pull| same(transaction, &agent, pull, &request, or_running)).transpose()?;
    if let Some(job) = same.flatten() {
        // Whoever asks now does not wait for what was put off for the sake of others.
        if job.deferrals == 0 && not_before_ms < job.not_before_ms {
            transaction.execute("UPDATE jobs SET not_before_ms = ?2 WHERE id = ?1", params![job.id, not_before_ms])?;
        }
        return Ok(Accepted { job, known: true });
    }
    let job = Job {
        id: next_id(),
        state: JobState::Queued,
        agent,
        created_ms: now_ms(),
        started_ms: None,
        ended_ms: None,
        attempts: 0,
        outcome: None,
        reason: None,
        pull,
        head: request.pr.and(request.head.clone()),
        not_before_ms,
        deferrals: 0,
        waits_because: None,
        request,
        review: None,
    };
    transaction
        .prepare_cached(
            "INSERT INTO jobs (id, agent, state, request, created_ms, pull, head, not_before_ms)
             VALUES (?1, ?2, 'queued', ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            job.id,
            job.agent.as_ref().map(AgentName::as_str),
            serde_json::to_string(&job.request)?,
            job.created_ms,
            job.pull,
            job.head,
            job.not_before_ms,
        ])?;
    append(transaction, &job.id, &Happening::Accepted)?;
    Ok(Accepted { job, known: false })
}

/// What was ended for the sake of a newer head, and what of it the job of that head is to take over.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Superseded {
    pub ended: Vec<String>,
    /// [`Trigger::Comment`] where somebody had asked for one of them.
    pub trigger: Trigger,
    pub full: bool,
    pub post: Option<bool>,
}

/// Ends what is for another head of the pull request than the one that the forge has named at `seen_ms`: at once what
/// waits in the agent's queue, and what runs is told to. What asked the forge itself since then knows better, and so
/// does who asks at this host; a job that waits without a head looks for itself once it begins.
pub(super) fn supersede(
    transaction: &Transaction<'_>,
    agent: &AgentName,
    pull: &str,
    head: &str,
    seen_ms: i64,
) -> Result<Superseded> {
    let mut found = Superseded::default();
    for job in open_of_pull(transaction, agent, pull)? {
        let older: bool = transaction
            .prepare_cached(
                "SELECT CASE state WHEN 'queued' THEN created_ms < ?3 ELSE cancelled = 0 AND found_ms < ?3 END
                 FROM jobs WHERE id = ?1 AND head IS NOT NULL AND head != ?2",
            )?
            .query_row(params![job.id, head, seen_ms], |row| Ok(row.get::<_, Option<bool>>(0)?.unwrap_or(false)))
            .optional()?
            .unwrap_or(false);
        if !older {
            continue;
        }
        if job.request.trigger == Trigger::Comment {
            found.trigger = Trigger::Comment;
        }
        found.full |= job.request.full;
        found.post = job.request.post.or(found.post);
        match job.state {
            JobState::Queued => {
                let reason = "a newer head of the pull request took its place before it began";
                end(transaction, &job.id, Outcome::Superseded, Some(reason), None)?;
            }
            _ => {
                transaction.execute("UPDATE jobs SET cancelled = 2 WHERE id = ?1", [&job.id])?;
            }
        }
        found.ended.push(job.id);
    }
    Ok(found)
}

/// Ends an agent's jobs of a pull request that is not open any more; those that run are told to end. What somebody at
/// this host asked for stays.
pub(super) fn close(transaction: &Transaction<'_>, agent: &AgentName, pull: &str, reason: &str) -> Result<Vec<String>> {
    let open = open_of_pull(transaction, agent, pull)?;
    for job in &open {
        match job.state {
            JobState::Queued => end(transaction, &job.id, Outcome::Cancelled, Some(reason), None)?,
            _ => {
                transaction.execute("UPDATE jobs SET cancelled = 1 WHERE id = ?1 AND cancelled = 0", [&job.id])?;
            }
        }
    }
    Ok(open.into_iter().map(|job| job.id).collect())
}

/// An agent's jobs of a pull request that have not ended, but for what somebody at this host asked for.
fn open_of_pull(transaction: &Transaction<'_>, agent: &AgentName, pull: &str) -> Result<Vec<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE {OPEN} AND pull = ?2 AND pull IS NOT NULL ORDER BY id");
    let open: Vec<Job> = transaction
        .prepare_cached(&sql)?
        .query_map(params![agent.as_str(), pull], job_of_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(open.into_iter().filter(|job| job.request.trigger != Trigger::Manual).collect())
}

/// The job that does what `request` asks for, if it has not ended.
fn same(
    transaction: &Transaction<'_>,
    agent: &Option<AgentName>,
    pull: &str,
    request: &ReviewRequest,
    or_running: bool,
) -> Result<Option<Job>> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE {OPEN} AND pull = ?2 AND pull IS NOT NULL ORDER BY id");
    let open: Vec<Job> = transaction
        .prepare_cached(&sql)?
        .query_map(params![agent.as_ref().map(AgentName::as_str), pull], job_of_row)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(open.into_iter().find(|job| {
        job.request == *request
            && (job.state == JobState::Queued || or_running && request.head.is_some() && job.head == request.head)
    }))
}

fn back(transaction: &Transaction<'_>, id: &str, reason: &str, until_ms: Option<i64>) -> Result<bool> {
    let changed = transaction.execute(
        "UPDATE jobs SET state = 'queued', started_ms = NULL, found_ms = NULL, reason = ?2, not_before_ms = ?3,
             put_off_ms = ?4
         WHERE id = ?1 AND state = 'running'",
        params![id, reason, until_ms, until_ms.map(|_| now_ms())],
    )?;
    if changed == 1 {
        append(transaction, id, &Happening::Requeued { reason: reason.to_owned(), until_ms })?;
    }
    Ok(changed == 1)
}

/// Back into the queue after a beginning that came to nothing, or to its end where there were too many of them. Says
/// whether it is in the queue.
fn again(transaction: &Transaction<'_>, id: &str, reason: &str, blame: Blame) -> Result<bool> {
    let (blamed, attempts): (u32, u32) = transaction.query_row(
        "UPDATE jobs SET blame = blame + ?2 WHERE id = ?1 RETURNING blame, attempts",
        params![id, blame.weight()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let times = (blamed / BLAME) as usize;
    if times > WAITS.len() {
        let reason = format!("given up after {}: {reason}", count(attempts as usize, "attempt"));
        end(transaction, id, Outcome::Failed, Some(&reason), None)?;
        return Ok(false);
    }
    let wait = times.checked_sub(1).map_or(Duration::ZERO, |times| WAITS[times]);
    // Only who is to blame waits.
    if blame == Blame::None || wait.is_zero() {
        return back(transaction, id, reason, None);
    }
    let until_ms = now_ms() + i64::try_from(wait.as_millis()).unwrap_or(0);
    let said = format!("{reason}; the next try is in {}", duration(u64::try_from(wait.as_millis()).unwrap_or(0)));
    let is_back = back(transaction, id, &said, None)?;
    // Whoever follows the job goes on doing so: it is not put off for long.
    transaction.execute(
        "UPDATE jobs SET not_before_ms = ?2, reason = ?3, put_off_ms = ?4 WHERE id = ?1 AND state = 'queued'",
        params![id, until_ms, reason, now_ms()],
    )?;
    Ok(is_back)
}

/// The end of a job; a job that has ended stays as it ended.
fn end(
    transaction: &Transaction<'_>,
    id: &str,
    outcome: Outcome,
    reason: Option<&str>,
    review: Option<&Review>,
) -> Result<()> {
    let kept = review;
    let review = review.map(serde_json::to_string).transpose()?;
    let changed = transaction.execute(
        "UPDATE jobs SET state = 'ended', ended_ms = ?2, outcome = ?3, reason = ?4, review = ?5, not_before_ms = NULL
         WHERE id = ?1 AND state != 'ended'",
        params![id, now_ms(), outcome.as_str(), reason, review],
    )?;
    if changed == 1 {
        append(transaction, id, &Happening::Ended { outcome, reason: reason.map(str::to_owned) })?;
        totals::ended(transaction, id, outcome, kept)?;
    }
    Ok(())
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
            retry_at_ms: None,
            unpublished: None,
        }
    }

    async fn accept(store: &Store, request: ReviewRequest) -> Job {
        let accepted = store.accept(Ask { request, ..Ask::default() }).await.unwrap();
        assert!(!accepted.known);
        accepted.job
    }

    fn of_pull(head: Option<&str>) -> Ask {
        let request = ReviewRequest { pr: Some(42), head: head.map(str::to_owned), ..Default::default() };
        Ask { request, pull: Some("Acme/Shop#42".into()), ..Ask::default() }
    }

    #[tokio::test]
    async fn what_is_asked_at_once_is_accepted_together_and_each_alone_where_one_cannot_be() {
        let (_dir, store) = store();
        let no = "CREATE TRIGGER no BEFORE INSERT ON jobs WHEN json_extract(new.request, '$.pr') = 13
                  BEGIN SELECT RAISE(ABORT, 'unlucky'); END";
        store.run(move |connection| Ok(connection.execute_batch(no)?)).await.unwrap();
        // They gather behind what takes its time.
        let (_, asked) = tokio::join!(
            store.run(|_| {
                std::thread::sleep(Duration::from_millis(100));
                Ok(())
            }),
            futures_util::future::join_all((1..=40).map(|number| {
                let request = ReviewRequest { pr: Some(number), ..Default::default() };
                store.accept(Ask { request, ..Ask::default() })
            }))
        );
        let (accepted, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
        assert_eq!((accepted.len(), refused.len()), (39, 1));
        let why = format!("{:#}", refused.into_iter().next().unwrap().unwrap_err());
        assert!(why.starts_with("could not write the job down: unlucky"), "{why}");
        for accepted in accepted {
            let job = accepted.unwrap().job;
            assert_eq!(store.job(&job.id).await.unwrap(), Some(job));
        }
        assert_eq!(store.queue(None).await.unwrap().queued, 39);
    }

    #[tokio::test]
    async fn asking_twice_is_asking_once_until_it_has_ended() {
        let (_dir, store) = store();
        let first = store.accept(of_pull(Some("a"))).await.unwrap().job;
        let again = store.accept(of_pull(Some("a"))).await.unwrap();
        assert_eq!((again.job.id.as_str(), again.known), (first.id.as_str(), true));
        let other = store.accept(of_pull(Some("b"))).await.unwrap();
        assert!(!other.known);
        store.claim(None).await.unwrap().unwrap();
        assert!(store.accept(of_pull(Some("a"))).await.unwrap().known);
        store.finish(&first.id, review(&first, Outcome::Reviewed)).await.unwrap();
        assert!(!store.accept(of_pull(Some("a"))).await.unwrap().known);
        // Without a head, a running job may be about an older one.
        let unknown = store.accept(of_pull(None)).await.unwrap();
        assert!(!unknown.known && store.accept(of_pull(None)).await.unwrap().known);
    }

    #[tokio::test]
    async fn one_head_is_reviewed_by_one_job_at_a_time() {
        let (_dir, store) = store();
        let a = store.accept(of_pull(Some("a"))).await.unwrap().job;
        let b = store.accept(of_pull(Some("b"))).await.unwrap().job;
        let unknown = store.accept(of_pull(None)).await.unwrap().job;
        assert_eq!(store.claim(None).await.unwrap().unwrap().id, a.id);
        store.found_head(&a.id, "a", 1).await.unwrap();
        assert_eq!(store.claim(None).await.unwrap().unwrap().id, b.id);
        assert_eq!(store.claim(None).await.unwrap(), None);
        store.found_head(&b.id, "b", 2).await.unwrap();
        assert_eq!(store.ending(&a.id).await.unwrap(), Some(Ending::Superseded));
        assert_eq!(store.ending(&b.id).await.unwrap(), None);
        // Who asked the forge earlier knows less, however late it says so.
        store.found_head(&a.id, "a", 1).await.unwrap();
        assert_eq!(store.ending(&b.id).await.unwrap(), None);
        assert!(store.has_job_for(&a.id, "b").await.unwrap());
        assert!(!store.has_job_for(&a.id, "c").await.unwrap());
        for job in [a, b] {
            store.finish(&job.id, review(&job, Outcome::Reviewed)).await.unwrap();
        }
        assert_eq!(store.claim(None).await.unwrap().unwrap().id, unknown.id);
    }

    #[tokio::test]
    async fn what_is_deferred_waits_for_its_time_and_is_not_counted_as_an_attempt() {
        let (_dir, store) = store();
        let job = store.accept(of_pull(None)).await.unwrap().job;
        store.claim(None).await.unwrap().unwrap();
        let deferred = Review { reason: Some("no quota".into()), ..review(&job, Outcome::Deferred) };
        store.defer(&job.id, now_ms() + 60_000, deferred.clone()).await.unwrap();
        assert_eq!(store.claim(None).await.unwrap(), None);
        let waiting = store.job(&job.id).await.unwrap().unwrap();
        assert_eq!((waiting.state, waiting.deferrals, waiting.attempts), (JobState::Queued, 1, 0));
        assert_eq!(waiting.reason.as_deref(), Some("no quota"));
        // Asking for it again neither doubles nor hastens it.
        assert!(store.accept(of_pull(None)).await.unwrap().known);
        assert_eq!(store.claim(None).await.unwrap(), None);
        store.run(|connection| Ok(connection.execute("UPDATE jobs SET not_before_ms = 1", [])?)).await.unwrap();
        assert_eq!(store.claim(None).await.unwrap().unwrap().id, job.id);
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_keeps_nobody_waiting_for_as_long() {
        const DAY: i64 = 24 * 3_600_000;
        let (_dir, store) = store();
        let deferred = store.accept(of_pull(Some("a"))).await.unwrap().job;
        store.claim(None).await.unwrap().unwrap();
        let review = Review { reason: Some("no quota".into()), ..review(&deferred, Outcome::Deferred) };
        store.defer(&deferred.id, now_ms() + 60_000, review).await.unwrap();
        let late = Ask { not_before_ms: Some(now_ms() + 60_000), ..of_pull(Some("b")) };
        let debounced = store.accept(late).await.unwrap().job;
        assert_eq!(store.claim(None).await.unwrap(), None);
        // All of that was a day from now, by the clock of then.
        store
            .run(|connection| {
                let sql = "UPDATE jobs SET created_ms = created_ms + ?1, put_off_ms = put_off_ms + ?1,
                           not_before_ms = not_before_ms + ?1";
                Ok(connection.execute(sql, [DAY])?)
            })
            .await
            .unwrap();
        let claimed = [store.claim(None).await.unwrap().unwrap().id, store.claim(None).await.unwrap().unwrap().id];
        assert_eq!(claimed, [deferred.id, debounced.id]);
    }

    #[tokio::test]
    async fn whoever_asks_does_not_wait_for_a_debounce() {
        let (_dir, store) = store();
        let late = Ask { not_before_ms: Some(now_ms() + 60_000), ..of_pull(None) };
        let job = store.accept(late).await.unwrap().job;
        assert_eq!(store.claim(None).await.unwrap(), None);
        assert!(store.accept(of_pull(None)).await.unwrap().known);
        assert_eq!(store.claim(None).await.unwrap().unwrap().id, job.id);
    }

    #[tokio::test]
    async fn a_job_goes_from_the_queue_to_its_end_and_every_step_is_an_event() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest { pr: Some(42), ..Default::default() }).await;
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
            accept(&store, ReviewRequest { pr: Some(pr), ..Default::default() }).await;
        }
        for pr in 1..=20 {
            assert_eq!(store.claim(None).await.unwrap().unwrap().request.pr, Some(pr));
        }
    }

    #[tokio::test]
    async fn an_end_is_final() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest::default()).await;
        store.claim(None).await.unwrap();
        store.finish(&job.id, review(&job, Outcome::Failed)).await.unwrap();
        store.finish(&job.id, review(&job, Outcome::Reviewed)).await.unwrap();
        assert_eq!(store.job(&job.id).await.unwrap().unwrap().outcome, Some(Outcome::Failed));
        assert_eq!(store.cancel(&job.id).await.unwrap(), Cancelled::AlreadyEnded);
    }

    #[tokio::test]
    async fn jobs_of_a_crashed_runner_are_begun_again_but_not_for_ever() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest::default()).await;
        for (attempt, wait) in [(1, 0), (2, 5), (3, 30), (4, 120)] {
            assert_eq!(store.claim(None).await.unwrap().unwrap().attempts, attempt);
            let before = now_ms();
            assert_eq!(store.recover(None, vec![]).await.unwrap(), (1, 0));
            let waiting = store.job(&job.id).await.unwrap().unwrap();
            assert_eq!(waiting.reason.as_deref(), Some("the runner ended while it worked on it"));
            match waiting.not_before_ms {
                None => assert_eq!(wait, 0),
                Some(until) => assert!((before + wait * 1000..=now_ms() + wait * 1000).contains(&until), "{waiting:?}"),
            }
            // Who follows it is told, and goes on following.
            let last = store.events(&job.id, 0).await.unwrap().pop().unwrap();
            let Happening::Requeued { reason, until_ms: None } = last.what else { panic!("{last:?}") };
            assert_eq!(reason.contains("the next try is in "), wait > 0, "{reason}");
            over_the_wait(&store).await;
        }
        store.claim(None).await.unwrap().unwrap();
        assert_eq!(store.recover(None, vec![]).await.unwrap(), (0, 1));
        let job = store.job(&job.id).await.unwrap().unwrap();
        assert_eq!((job.outcome, job.attempts), (Some(Outcome::Failed), 5));
        assert_eq!(job.reason.unwrap(), "given up after 5 attempts: the runner ended while it worked on it");
    }

    async fn over_the_wait(store: &Store) {
        store.run(|connection| Ok(connection.execute("UPDATE jobs SET not_before_ms = 1", [])?)).await.unwrap();
    }

    #[tokio::test]
    async fn a_process_that_dies_while_the_engine_works_by_itself_is_hardly_held_against_the_job() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest::default()).await;
        for _ in 0..24 {
            store.claim(None).await.unwrap().unwrap();
            assert_eq!(store.recover(None, vec![job.id.clone()]).await.unwrap(), (1, 0));
            over_the_wait(&store).await;
        }
        // It is not for ever, either.
        store.claim(None).await.unwrap().unwrap();
        assert_eq!(store.recover(None, vec![job.id.clone()]).await.unwrap(), (0, 1));
    }

    #[tokio::test]
    async fn a_stop_is_not_held_against_a_job() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest::default()).await;
        for attempt in 1..=30 {
            assert_eq!(store.claim(None).await.unwrap().unwrap().attempts, attempt);
            if attempt % 2 == 0 {
                assert!(store.requeue(&job.id, "stopped", Blame::None).await.unwrap());
            } else {
                store.requeue_all(None, "stopped").await.unwrap();
            }
        }
        // What was put off has done nothing wrong until then.
        for _ in 0..10 {
            store.claim(None).await.unwrap().unwrap();
            store.requeue(&job.id, "lost", Blame::Full).await.unwrap();
            over_the_wait(&store).await;
            store.claim(None).await.unwrap().unwrap();
            store.defer(&job.id, 1, review(&job, Outcome::Deferred)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_to_be_ended_is_not_begun_again() {
        let (_dir, store) = store();
        let job = accept(&store, ReviewRequest::default()).await;
        store.claim(None).await.unwrap().unwrap();
        assert_eq!(store.cancel(&job.id).await.unwrap(), Cancelled::Asked);
        assert_eq!(store.recover(None, vec![]).await.unwrap(), (0, 1));
        assert_eq!(store.job(&job.id).await.unwrap().unwrap().outcome, Some(Outcome::Cancelled));
    }

    #[tokio::test]
    async fn a_queued_job_is_cancelled_at_once_and_a_running_one_is_told() {
        let (_dir, store) = store();
        let first = accept(&store, ReviewRequest::default()).await;
        let second = accept(&store, ReviewRequest::default()).await;
        store.claim(None).await.unwrap();
        assert_eq!(store.cancel(&first.id).await.unwrap(), Cancelled::Asked);
        assert_eq!(store.ending(&first.id).await.unwrap(), Some(Ending::Cancelled));
        assert_eq!(store.cancel(&second.id).await.unwrap(), Cancelled::AtOnce);
        assert_eq!(store.cancel("nothing").await.unwrap(), Cancelled::NoSuchJob);
    }

    #[tokio::test]
    async fn two_processes_share_the_file_and_no_job_is_claimed_twice() {
        let (dir, first) = store();
        let second = Store::open(&dir.path().join("store.db")).unwrap();
        for _ in 0..50 {
            accept(&first, ReviewRequest::default()).await;
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
