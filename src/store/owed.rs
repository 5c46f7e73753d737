//! Jobs that were ended by the store itself: given up, and nobody has told the forge.

use anyhow::Result;
use rusqlite::params;

use super::{COLUMNS, Store, job_of_row, now_ms};
use crate::agent::AgentName;
use crate::api::Job;
use crate::review::Review;

/// What is older than this is of no interest to anybody at the forge any more.
const OF_INTEREST_MS: i64 = 7 * 24 * 3600 * 1000;

impl Store {
    /// The given-up jobs of one scope that had found the head of a pull request, and have no review yet that says so.
    pub async fn owed(&self, agent: Option<AgentName>) -> Result<Vec<Job>> {
        self.run(move |connection| {
            // Ids sort by their time, so the index of agent and id leads to the newest ones.
            let since = u64::try_from(now_ms() - OF_INTEREST_MS).unwrap_or(0);
            let first = ulid::Ulid::from_parts(since, 0).to_string();
            let sql = format!(
                "SELECT {COLUMNS} FROM jobs
                 WHERE agent IS ?1 AND id > ?2 AND state = 'ended' AND outcome = 'failed'
                 AND review IS NULL AND pull IS NOT NULL AND head IS NOT NULL AND attempts > 0
                 ORDER BY id"
            );
            let jobs = connection
                .prepare_cached(&sql)?
                .query_map(params![agent.as_ref().map(AgentName::as_str), first], job_of_row)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(jobs)
        })
        .await
    }

    /// Gives a job that was given up the review that says so; nothing is owed any more.
    pub async fn told_of(&self, id: &str, review: Review) -> Result<()> {
        let id = id.to_owned();
        self.run(move |connection| {
            connection.execute(
                "UPDATE jobs SET review = ?2 WHERE id = ?1 AND state = 'ended' AND review IS NULL",
                params![id, serde_json::to_string(&review)?],
            )?;
            Ok(())
        })
        .await
    }

    /// The agents that have something in the queue whose time has come.
    pub async fn agents_with_work(&self) -> Result<Vec<AgentName>> {
        self.run(|connection| {
            let names: Vec<String> = connection
                .prepare_cached(
                    "SELECT DISTINCT agent FROM jobs
                     WHERE state != 'ended' AND state = 'queued' AND agent IS NOT NULL
                     AND (not_before_ms IS NULL OR not_before_ms <= ?1)",
                )?
                .query_map([now_ms()], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReviewRequest;
    use crate::review::{Outcome, Receipt};
    use crate::store::{Ask, Blame};

    #[tokio::test]
    async fn what_was_given_up_is_owed_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let shop: AgentName = "shop".parse().unwrap();
        let request = ReviewRequest { pr: Some(1), post: Some(true), ..Default::default() };
        let ask = Ask { agent: Some(shop.clone()), request, pull: Some("acme/shop#1".into()), ..Ask::default() };
        let job = store.accept(ask).await.unwrap().job;
        assert_eq!(store.agents_with_work().await.unwrap(), std::slice::from_ref(&shop));
        for _ in 0..20 {
            // Who is to blame waits; here nobody does.
            let id = job.id.clone();
            store
                .run(move |store| Ok(store.execute("UPDATE jobs SET not_before_ms = NULL WHERE id = ?1", [id])?))
                .await
                .unwrap();
            let Some(job) = store.claim(Some(shop.clone())).await.unwrap() else { break };
            store.found_head(&job.id, "1234", now_ms()).await.unwrap();
            assert_eq!(store.owed(Some(shop.clone())).await.unwrap(), []);
            store.requeue(&job.id, "it died", Blame::Full).await.unwrap();
        }
        assert_eq!(store.agents_with_work().await.unwrap(), []);
        let owed = store.owed(Some(shop.clone())).await.unwrap();
        assert_eq!(
            owed.iter().map(|job| (&job.id, job.head.as_deref())).collect::<Vec<_>>(),
            [(&job.id, Some("1234"))]
        );
        assert_eq!(store.owed(None).await.unwrap(), []);
        let review = Review {
            job: job.id.clone(),
            project: String::new(),
            subject: String::new(),
            outcome: Outcome::Failed,
            reason: owed[0].reason.clone(),
            summary: None,
            findings: vec![],
            receipt: Receipt::default(),
            retry_at_ms: None,
            unpublished: None,
        };
        store.told_of(&job.id, review).await.unwrap();
        assert_eq!(store.owed(Some(shop)).await.unwrap(), []);
    }
}
