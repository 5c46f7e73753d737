//! What the agents that watch a repository remember of it. That a change was seen and that its job is in the queue is
//! one transaction, so neither a crash nor a second look makes two jobs of it, or none.

use anyhow::{Context, Result};
use rusqlite::{OptionalExtension, Transaction, params};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::queue::{self, Ask};
use super::{Store, begin};
use crate::agent::AgentName;
use crate::api::{Job, ReviewRequest};

/// For how long a closed pull request is remembered, in milliseconds: nobody may tell of it as open meanwhile.
const REMEMBERED_MS: i64 = 14 * 24 * 3_600_000;

/// Who watches what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    pub agent: AgentName,
    repo: String,
}

impl Watch {
    /// `repo` is `owner/name`.
    pub fn new(agent: AgentName, repo: &str) -> Watch {
        Watch { agent, repo: repo.to_lowercase() }
    }

    fn pull(&self, number: u64) -> String {
        format!("{}#{number}", self.repo)
    }
}

/// How a watch stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WatchState {
    /// What was open at the first look is known.
    pub begun: bool,
    /// Latest change that was seen, in milliseconds since 1970 by the forge's clock.
    pub newest_ms: i64,
    /// The last look, in milliseconds since 1970.
    pub asked_ms: Option<i64>,
    /// The last look that failed, and why.
    pub failed_ms: Option<i64>,
    pub failure: Option<String>,
}

impl WatchState {
    /// What is wrong now.
    pub fn trouble(&self) -> Option<&str> {
        self.failure.as_deref().filter(|_| self.failed_ms.is_some() && self.failed_ms == self.asked_ms)
    }
}

/// What of a pull request decides whether and how it is reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub head: String,
    pub base: String,
    pub draft: bool,
    /// In their order.
    pub labels: Vec<String>,
    pub open: bool,
}

/// A pull request as it was seen last. Times are milliseconds since 1970 by the forge's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub number: u64,
    pub key: Key,
    pub updated_ms: i64,
    /// Comments of that time or earlier are none of ours.
    pub from_ms: i64,
    /// Comments are read up to there; the highest id among them.
    pub read_ms: i64,
    pub comment: u64,
}

/// What a look leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing that a review depends on.
    Remember(Watched),
    Review {
        watched: Watched,
        /// It stands at another head than before.
        moved: bool,
    },
    Close(Watched),
    /// It is not there any more.
    Forget(u64),
}

/// A look, and what it leads to.
#[derive(Debug, Clone)]
pub struct Look {
    /// When the forge was asked, by this machine's clock.
    pub asked_ms: i64,
    /// Not before then is begun what is found, by this machine's clock.
    pub not_before_ms: i64,
    /// Latest change in it, by the forge's clock.
    pub newest_ms: i64,
    pub steps: Vec<Step>,
}

/// What became of the queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changed {
    pub accepted: Vec<Job>,
    /// Ids of jobs that have ended, or were told to.
    pub ended: Vec<String>,
}

impl Store {
    pub async fn watch_state(&self, watch: &Watch) -> Result<WatchState> {
        let watch = watch.clone();
        self.run(move |connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT begun, newest_ms, asked_ms, failed_ms, failure FROM watches WHERE agent = ?1 AND repo = ?2",
                )?
                .query_row([watch.agent.as_str(), &watch.repo], |row| {
                    Ok(WatchState {
                        begun: row.get(0)?,
                        newest_ms: row.get(1)?,
                        asked_ms: row.get(2)?,
                        failed_ms: row.get(3)?,
                        failure: row.get(4)?,
                    })
                })
                .optional()?
                .unwrap_or_default())
        })
        .await
    }

    pub async fn watched(&self, watch: &Watch) -> Result<Vec<Watched>> {
        let watch = watch.clone();
        self.run(move |connection| {
            let rows: Vec<(u64, String, i64, i64, i64, u64)> = connection
                .prepare_cached(
                    "SELECT number, key, updated_ms, from_ms, read_ms, comment FROM watched
                     WHERE agent = ?1 AND repo = ?2 ORDER BY number",
                )?
                .query_map([watch.agent.as_str(), &watch.repo], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            rows.into_iter()
                .map(|(number, key, updated_ms, from_ms, read_ms, comment)| {
                    let key =
                        serde_json::from_str(&key).context("what is remembered of a pull request is unreadable")?;
                    Ok(Watched { number, key, updated_ms, from_ms, read_ms, comment })
                })
                .collect()
        })
        .await
    }

    /// Remembers what a look has shown, and brings the queue there.
    pub async fn looked(&self, watch: &Watch, look: Look) -> Result<Changed> {
        let watch = watch.clone();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let mut changed = Changed::default();
            for step in look.steps {
                match step {
                    Step::Remember(watched) => remember(&transaction, &watch, &watched)?,
                    Step::Review { watched, moved } => {
                        remember(&transaction, &watch, &watched)?;
                        let head = &watched.key.head;
                        let pull = watch.pull(watched.number);
                        let old = queue::supersede(&transaction, &watch.agent, &pull, head, look.asked_ms)?;
                        let request = ReviewRequest {
                            pr: Some(watched.number),
                            head: Some(head.clone()),
                            trigger: old.trigger,
                            full: old.full,
                            post: old.post,
                            ..Default::default()
                        };
                        let ask = Ask {
                            agent: Some(watch.agent.clone()),
                            request,
                            pull: Some(pull),
                            not_before_ms: Some(look.not_before_ms),
                        };
                        // What runs for this head has perhaps looked at draft and labels already.
                        let accepted = queue::accept(&transaction, ask, moved)?;
                        changed.ended.extend(old.ended);
                        changed.accepted.extend((!accepted.known).then_some(accepted.job));
                    }
                    Step::Close(watched) => {
                        remember(&transaction, &watch, &watched)?;
                        let why = "the pull request was closed";
                        changed.ended.extend(queue::close(
                            &transaction,
                            &watch.agent,
                            &watch.pull(watched.number),
                            why,
                        )?);
                    }
                    Step::Forget(number) => {
                        transaction.execute(
                            "DELETE FROM watched WHERE agent = ?1 AND repo = ?2 AND number = ?3",
                            params![watch.agent.as_str(), watch.repo, number],
                        )?;
                        let why = "the pull request is not there any more";
                        changed.ended.extend(queue::close(&transaction, &watch.agent, &watch.pull(number), why)?);
                    }
                }
            }
            transaction.execute(
                "INSERT INTO watches (agent, repo, begun, newest_ms) VALUES (?1, ?2, 1, ?3)
                 ON CONFLICT DO UPDATE SET begun = 1, newest_ms = max(newest_ms, ?3)",
                params![watch.agent.as_str(), watch.repo, look.newest_ms],
            )?;
            transaction.execute(
                "DELETE FROM watched WHERE agent = ?1 AND repo = ?2 AND updated_ms < ?3
                 AND NOT json_extract(key, '$.open')",
                params![watch.agent.as_str(), watch.repo, look.newest_ms - REMEMBERED_MS],
            )?;
            transaction.commit()?;
            Ok(changed)
        })
        .await
        .context("could not write down what was seen of the repository")
    }

    /// Notes that the comments of a pull request are read, and asks for what they ask for.
    pub async fn comments_read(&self, watch: &Watch, watched: &Watched, asks: Vec<ReviewRequest>) -> Result<Changed> {
        let (watch, watched) = (watch.clone(), watched.clone());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            transaction.execute(
                "UPDATE watched SET read_ms = ?4, comment = max(comment, ?5)
                 WHERE agent = ?1 AND repo = ?2 AND number = ?3",
                params![watch.agent.as_str(), watch.repo, watched.number, watched.read_ms, watched.comment],
            )?;
            let mut changed = Changed::default();
            for request in asks {
                let ask = Ask {
                    agent: Some(watch.agent.clone()),
                    request,
                    pull: Some(watch.pull(watched.number)),
                    not_before_ms: None,
                };
                let accepted = queue::accept(&transaction, ask, true)?;
                changed.accepted.extend((!accepted.known).then_some(accepted.job));
            }
            transaction.commit()?;
            Ok(changed)
        })
        .await
        .context("could not write down what was read of the comments")
    }

    /// Notes when the forge was asked (milliseconds since 1970), and what went wrong, if anything did.
    pub async fn asked(&self, watch: &Watch, asked_ms: i64, failure: Option<String>) -> Result<()> {
        let watch = watch.clone();
        self.run(move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO watches (agent, repo, asked_ms, failed_ms, failure)
                     VALUES (?1, ?2, ?3, iif(?4 IS NULL, NULL, ?3), ?4)
                     ON CONFLICT DO UPDATE SET asked_ms = ?3, failed_ms = iif(?4 IS NULL, failed_ms, ?3),
                     failure = coalesce(?4, failure)",
                )?
                .execute(params![watch.agent.as_str(), watch.repo, asked_ms, failure])?;
            Ok(())
        })
        .await
    }

    /// Forgets all that an agent has seen.
    pub async fn forget_watches(&self, agent: &AgentName) -> Result<()> {
        let agent = agent.clone();
        self.run(move |connection| {
            let transaction = begin(connection)?;
            transaction.execute("DELETE FROM watched WHERE agent = ?1", [agent.as_str()])?;
            transaction.execute("DELETE FROM watches WHERE agent = ?1", [agent.as_str()])?;
            Ok(transaction.commit()?)
        })
        .await
    }
}

fn remember(transaction: &Transaction<'_>, watch: &Watch, watched: &Watched) -> Result<()> {
    let Watched { number, key, updated_ms, from_ms, read_ms, comment } = watched;
    transaction
        .prepare_cached(
            "INSERT INTO watched (agent, repo, number, key, updated_ms, from_ms, read_ms, comment)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET key = ?4, updated_ms = ?5, from_ms = ?6, read_ms = ?7, comment = ?8",
        )?
        .execute(params![
            watch.agent.as_str(),
            watch.repo,
            number,
            serde_json::to_string(key)?,
            updated_ms,
            from_ms,
            read_ms,
            comment
        ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{JobState, Trigger};
    use crate::review::Outcome;
    use crate::store::{Ending, now_ms};

    fn store() -> (tempfile::TempDir, Store, Watch) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store, Watch::new("shop".parse().unwrap(), "Acme/Shop"))
    }

    fn at(head: &str) -> Watched {
        let key = Key { head: head.into(), base: "main".into(), draft: false, labels: vec![], open: true };
        Watched { number: 42, key, updated_ms: 1000, from_ms: 0, read_ms: 0, comment: 0 }
    }

    /// As a look that begins now and has no debounce.
    fn look(steps: Vec<Step>) -> Look {
        Look { asked_ms: now_ms() + 1, not_before_ms: now_ms(), newest_ms: 1000, steps }
    }

    fn review(head: &str) -> Look {
        look(vec![Step::Review { watched: at(head), moved: true }])
    }

    async fn state(store: &Store, job: &Job) -> (JobState, Option<Outcome>) {
        let job = store.job(&job.id).await.unwrap().unwrap();
        (job.state, job.outcome)
    }

    #[tokio::test]
    async fn a_newer_head_takes_the_place_of_what_waits_and_of_what_runs() {
        let (_dir, store, watch) = store();
        let a = store.looked(&watch, review("a")).await.unwrap().accepted.remove(0);
        assert_eq!((a.pull.as_deref(), a.head.as_deref()), (Some("acme/shop#42"), Some("a")));
        let changed = store.looked(&watch, review("b")).await.unwrap();
        assert_eq!(changed.ended, std::slice::from_ref(&a.id));
        assert_eq!(state(&store, &a).await, (JobState::Ended, Some(Outcome::Superseded)));
        let b = store.claim(Some(watch.agent.clone())).await.unwrap().unwrap();
        assert_eq!(b.id, changed.accepted[0].id);
        // It has not asked the forge yet, so it will find the newer head by itself.
        assert_eq!(store.looked(&watch, review("c")).await.unwrap().ended, [""; 0]);
        store.found_head(&b.id, "b", now_ms() - 10).await.unwrap();
        assert_eq!(store.looked(&watch, review("d")).await.unwrap().ended.len(), 2);
        assert_eq!(store.ending(&b.id).await.unwrap(), Some(Ending::Superseded));
        assert_eq!(store.watched(&watch).await.unwrap()[0].key.head, "d");
    }

    #[tokio::test]
    async fn a_look_that_is_older_than_what_a_job_has_found_ends_nothing() {
        let (_dir, store, watch) = store();
        store.looked(&watch, review("b")).await.unwrap();
        let b = store.claim(Some(watch.agent.clone())).await.unwrap().unwrap();
        store.found_head(&b.id, "b", now_ms() + 1000).await.unwrap();
        assert_eq!(store.looked(&watch, review("a")).await.unwrap().ended, [""; 0]);
        assert_eq!(store.ending(&b.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_somebody_asked_for_goes_over_to_the_newer_head() {
        let (_dir, store, watch) = store();
        let ask = ReviewRequest { pr: Some(42), full: true, trigger: Trigger::Comment, ..Default::default() };
        let asked = store.comments_read(&watch, &at("a"), vec![ask.clone(), ask]).await.unwrap().accepted;
        assert_eq!(asked.len(), 1);
        let manual = Ask {
            agent: Some(watch.agent.clone()),
            request: ReviewRequest { pr: Some(42), trigger: Trigger::Manual, ..Default::default() },
            pull: Some("acme/shop#42".into()),
            not_before_ms: None,
        };
        let manual = store.accept(manual).await.unwrap().job;
        // Without a head it waits and looks for itself.
        assert_eq!(store.looked(&watch, review("a")).await.unwrap().ended, [""; 0]);
        let running = store.claim(Some(watch.agent.clone())).await.unwrap().unwrap();
        assert_eq!(running.id, asked[0].id);
        store.found_head(&running.id, "a", now_ms() - 10).await.unwrap();
        let changed = store.looked(&watch, review("b")).await.unwrap();
        let request = &changed.accepted[0].request;
        assert_eq!((request.trigger, request.full, request.head.as_deref()), (Trigger::Comment, true, Some("b")));
        assert_eq!(state(&store, &manual).await, (JobState::Queued, None));
    }

    #[tokio::test]
    async fn a_label_is_looked_at_after_the_job_that_runs_and_together_with_one_that_waits() {
        let (_dir, store, watch) = store();
        let labelled = || look(vec![Step::Review { watched: at("a"), moved: false }]);
        assert_eq!(store.looked(&watch, review("a")).await.unwrap().accepted.len(), 1);
        assert_eq!(store.looked(&watch, labelled()).await.unwrap(), Changed::default());
        store.claim(Some(watch.agent.clone())).await.unwrap().unwrap();
        assert_eq!(store.looked(&watch, review("a")).await.unwrap(), Changed::default());
        assert_eq!(store.looked(&watch, labelled()).await.unwrap().accepted.len(), 1);
    }

    #[tokio::test]
    async fn a_closed_pull_request_takes_its_jobs_along() {
        let (_dir, store, watch) = store();
        let a = store.looked(&watch, review("a")).await.unwrap().accepted.remove(0);
        store.claim(Some(watch.agent.clone())).await.unwrap().unwrap();
        let b = store.looked(&watch, review("b")).await.unwrap().accepted.remove(0);
        let mut closed = at("b");
        closed.key.open = false;
        let ended = store.looked(&watch, look(vec![Step::Close(closed)])).await.unwrap().ended;
        assert_eq!(ended, [a.id.clone(), b.id.clone()]);
        assert_eq!(store.ending(&a.id).await.unwrap(), Some(Ending::Cancelled));
        let b = store.job(&b.id).await.unwrap().unwrap();
        assert_eq!((b.outcome, b.reason.as_deref()), (Some(Outcome::Cancelled), Some("the pull request was closed")));
        // What was cancelled is no review, so nobody may count on it.
        assert!(!store.has_job_for(&a.id, "b").await.unwrap());
        store.looked(&watch, look(vec![Step::Forget(42)])).await.unwrap();
        assert_eq!(store.watched(&watch).await.unwrap(), []);
    }

    #[tokio::test]
    async fn the_last_failure_is_known_and_whether_it_is_over() {
        let (_dir, store, watch) = store();
        store.asked(&watch, 1, None).await.unwrap();
        assert_eq!(store.watch_state(&watch).await.unwrap().trouble(), None);
        store.asked(&watch, 2, Some("no answer".into())).await.unwrap();
        assert_eq!(store.watch_state(&watch).await.unwrap().trouble(), Some("no answer"));
        store.asked(&watch, 3, None).await.unwrap();
        let state = store.watch_state(&watch).await.unwrap();
        assert_eq!((state.trouble(), state.asked_ms, state.failed_ms), (None, Some(3), Some(2)));
        assert!(!state.begun);
        store.looked(&watch, review("a")).await.unwrap();
        assert!(store.watch_state(&watch).await.unwrap().begun);
        store.forget_watches(&watch.agent).await.unwrap();
        assert_eq!(store.watch_state(&watch).await.unwrap(), WatchState::default());
    }
}
