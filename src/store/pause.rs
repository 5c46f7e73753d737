//! Who begins no job for now: an agent (or the runner) that is paused, or that is drained before it stops. Every process
//! obeys, as [`Store::claim`] asks here in its own transaction. Jobs are accepted all the same, and wait.
//!
//! A pause ends by the wall clock, which may be set. Set forward, it ends a pause early. Set back behind the moment at
//! which the pause began, what was left of it is unknown; it then begins anew, so that it lasts twice its time at most and
//! never for as long as the clock was off.

use anyhow::Result;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Store, begin, now_ms};
use crate::agent::AgentName;
use crate::api::{Job, JobState};
use crate::quantity;

/// Why a scope begins no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Pause {
    /// It stops once nothing runs any more.
    pub drains: bool,
    /// The user who wanted it.
    pub by: String,
    pub note: String,
    /// Milliseconds since 1970, as the next.
    pub at_ms: i64,
    /// Absent: until somebody takes it back.
    pub until_ms: Option<i64>,
}

impl Pause {
    /// Such as: `paused by alice until 2026-11-24T10:00:00Z: disk is swapped`.
    pub fn in_words(&self) -> String {
        let Pause { drains, by, note, at_ms: _, until_ms } = self;
        let what = if *drains { "drained" } else { "paused" };
        let until = until_ms.map_or(String::new(), |ms| format!(" until {}", quantity::time(ms)));
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        format!("{what} by {by}{until}{note}")
    }
}

impl Store {
    /// Lets an agent (or the runner) begin no more jobs. A pause and a drain may hold side by side; another of the same
    /// kind takes the place of the first.
    pub async fn pause(&self, agent: Option<AgentName>, pause: Pause) -> Result<()> {
        self.run(move |connection| {
            let Pause { drains, by, note, at_ms, until_ms } = pause;
            connection.execute(
                "INSERT OR REPLACE INTO pauses (agent, drains, by_user, note, at_ms, until_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![key(agent.as_ref()), drains, by, note, at_ms, until_ms],
            )?;
            Ok(())
        })
        .await
    }

    /// Takes a pause and a drain back, or only the drain; says what held until now.
    pub async fn resume(&self, agent: Option<AgentName>, only_drain: bool) -> Result<Option<Pause>> {
        self.run(move |connection| {
            let transaction = begin(connection)?;
            let held = active(&transaction, agent.as_ref(), now_ms())?.filter(|pause| pause.drains || !only_drain);
            let sql = "DELETE FROM pauses WHERE agent = ?1 AND (drains = 1 OR NOT ?2)";
            transaction.execute(sql, params![key(agent.as_ref()), only_drain])?;
            transaction.commit()?;
            Ok(held)
        })
        .await
    }

    /// What holds an agent (or the runner), if anything does.
    pub async fn paused(&self, agent: Option<AgentName>) -> Result<Option<Pause>> {
        self.run(move |connection| read(connection, agent.as_ref(), now_ms())).await
    }
}

/// As [`Store::paused`], in a transaction that may write: removes what is over, and minds a clock that was set back.
pub(super) fn active(transaction: &Transaction<'_>, agent: Option<&AgentName>, now: i64) -> Result<Option<Pause>> {
    let found = read(transaction, agent, i64::MIN)?;
    if found.is_none() {
        return Ok(None);
    }
    let agent_key = key(agent);
    transaction.execute(
        "UPDATE pauses SET until_ms = until_ms - (at_ms - ?2), at_ms = ?2 WHERE agent = ?1 AND at_ms > ?2",
        params![agent_key, now],
    )?;
    transaction.execute("DELETE FROM pauses WHERE agent = ?1 AND until_ms <= ?2", params![agent_key, now])?;
    read(transaction, agent, now)
}

/// A drain goes before a pause: it has more to say.
fn read(connection: &Connection, agent: Option<&AgentName>, now: i64) -> Result<Option<Pause>> {
    Ok(connection
        .prepare_cached(
            "SELECT drains, by_user, note, at_ms, until_ms FROM pauses
             WHERE agent = ?1 AND (until_ms IS NULL OR until_ms > ?2) ORDER BY drains DESC LIMIT 1",
        )?
        .query_row(params![key(agent), now], pause_of_row)
        .optional()?)
}

/// Tells of each job that waits for the end of a pause that it does.
pub(super) fn explain<'a>(connection: &Connection, jobs: impl IntoIterator<Item = &'a mut Job>) -> Result<()> {
    let now = now_ms();
    for job in jobs.into_iter().filter(|job| job.state == JobState::Queued) {
        job.waits_because = read(connection, job.agent.as_ref(), now)?.map(|pause| pause.in_words());
    }
    Ok(())
}

fn pause_of_row(row: &Row<'_>) -> rusqlite::Result<Pause> {
    Ok(Pause { drains: row.get(0)?, by: row.get(1)?, note: row.get(2)?, at_ms: row.get(3)?, until_ms: row.get(4)? })
}

/// No agent has an empty name.
fn key(agent: Option<&AgentName>) -> &str {
    agent.map_or("", AgentName::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReviewRequest;
    use crate::store::Ask;

    const HOUR: i64 = 3_600_000;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        (dir, store)
    }

    fn pause(at_ms: i64, length_ms: Option<i64>) -> Pause {
        let until_ms = length_ms.map(|length| at_ms + length);
        Pause { drains: false, by: "alice".into(), note: "new disk".into(), at_ms, until_ms }
    }

    async fn at(store: &Store, now: i64) -> Option<Pause> {
        store
            .run(move |connection| {
                let transaction = begin(connection)?;
                let found = active(&transaction, None, now)?;
                transaction.commit()?;
                Ok(found)
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn who_is_paused_begins_nothing_accepts_all_and_others_go_on() {
        let (_dir, store) = store();
        let shop: AgentName = "shop".parse().unwrap();
        let ask = |agent: Option<&AgentName>| Ask { agent: agent.cloned(), ..Ask::default() };
        store.pause(Some(shop.clone()), pause(now_ms(), Some(HOUR))).await.unwrap();
        let job = store.accept(ask(Some(&shop))).await.unwrap().job;
        let words = job.waits_because.unwrap();
        assert!(words.starts_with("paused by alice until 2") && words.ends_with("Z: new disk"), "{words}");
        assert_eq!(store.claim(Some(shop.clone())).await.unwrap(), None);
        assert!(store.jobs(None, 9).await.unwrap()[0].waits_because.is_some());
        assert!(store.job(&job.id).await.unwrap().unwrap().waits_because.is_some());
        let other = store.accept(ask(None)).await.unwrap().job;
        assert_eq!((other.waits_because, store.claim(None).await.unwrap().unwrap().id), (None, other.id));

        assert!(store.resume(Some(shop.clone()), true).await.unwrap().is_none(), "no drain");
        assert!(store.resume(Some(shop.clone()), false).await.unwrap().is_some());
        assert_eq!(store.job(&job.id).await.unwrap().unwrap().waits_because, None);
        assert_eq!(store.claim(Some(shop)).await.unwrap().unwrap().id, job.id);
    }

    #[tokio::test]
    async fn a_pause_ends_by_itself_and_one_without_an_end_does_not() {
        let (_dir, store) = store();
        store.accept(Ask { request: ReviewRequest::default(), ..Ask::default() }).await.unwrap();
        store.pause(None, pause(now_ms() - 2000, Some(1000))).await.unwrap();
        assert_eq!(store.paused(None).await.unwrap(), None);
        assert!(store.claim(None).await.unwrap().is_some());
        store.pause(None, pause(now_ms(), None)).await.unwrap();
        assert_eq!(at(&store, now_ms() + 1000 * HOUR).await.map(|pause| pause.until_ms), Some(None));
    }

    #[tokio::test]
    async fn a_clock_that_is_set_does_not_lengthen_a_pause_by_more_than_its_own_time() {
        let (_dir, store) = store();
        let now = now_ms();
        store.pause(None, pause(now, Some(2 * HOUR))).await.unwrap();
        assert!(at(&store, now + HOUR).await.is_some());
        // A day back: it begins anew.
        let back = now - 24 * HOUR;
        assert_eq!(at(&store, back).await.unwrap().until_ms, Some(back + 2 * HOUR));
        assert!(at(&store, back + HOUR).await.is_some());
        assert_eq!(at(&store, back + 2 * HOUR).await, None);
        // A day forward: it is over.
        store.pause(None, pause(now, Some(2 * HOUR))).await.unwrap();
        assert_eq!(at(&store, now + 24 * HOUR).await, None);
    }

    #[tokio::test]
    async fn a_drain_leaves_the_pause_beside_it() {
        let (_dir, store) = store();
        store.pause(None, pause(now_ms(), None)).await.unwrap();
        store.pause(None, Pause { drains: true, note: String::new(), ..pause(now_ms(), None) }).await.unwrap();
        assert_eq!(store.paused(None).await.unwrap().unwrap().in_words(), "drained by alice");
        assert!(store.resume(None, true).await.unwrap().is_some());
        assert_eq!(store.paused(None).await.unwrap().unwrap().in_words(), "paused by alice: new disk");
    }
}
