//! What policy wants to know of a pull request's past: which heads were reviewed, and which one a label has approved.

use anyhow::{Context, Result};
use rusqlite::{OptionalExtension, params};

use super::{Store, begin, now_ms};

impl Store {
    /// Notes whether a pull request (`owner/name#42`) has the label that approves it now, at `head`, and says which head
    /// it approves: the one at which it was first seen. Without the label nothing is approved, and the next one counts
    /// anew.
    pub async fn approval(&self, pull: &str, head: &str, has_label: bool) -> Result<Option<String>> {
        let (pull, head) = (pull.to_lowercase(), head.to_owned());
        self.run(move |connection| {
            let transaction = begin(connection)?;
            match has_label {
                true => transaction.execute(
                    "INSERT INTO approvals (pull, head, at_ms) VALUES (?1, ?2, ?3) ON CONFLICT (pull) DO NOTHING",
                    params![pull, head, now_ms()],
                )?,
                false => transaction.execute("DELETE FROM approvals WHERE pull = ?1", [&pull])?,
            };
            let approved = transaction
                .query_row("SELECT head FROM approvals WHERE pull = ?1", [&pull], |row| row.get(0))
                .optional()?;
            transaction.commit()?;
            Ok(approved)
        })
        .await
        .context("could not note whether the pull request is approved")
    }

    /// The heads of a pull request (`owner/name#42`) that were reviewed, wholly or in part.
    pub async fn reviewed_heads(&self, pull: &str) -> Result<Vec<String>> {
        let pull = pull.to_lowercase();
        self.run(move |connection| {
            let heads = connection
                .prepare_cached(
                    "SELECT DISTINCT head FROM jobs WHERE pull = ?1 AND pull IS NOT NULL AND head IS NOT NULL
                     AND state = 'ended'
                     AND (outcome = 'reviewed' OR outcome = 'partial' AND EXISTS (
                         SELECT 1 FROM json_each(review, '$.receipt.files')
                         WHERE json_extract(value, '$.coverage') IN ('seen', 'known')
                     ))",
                )?
                .query_map([&pull], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(heads)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_approval_is_of_one_head_until_the_label_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        let approval = async |pull: &str, head: &str, has_label| store.approval(pull, head, has_label).await.unwrap();
        assert_eq!(approval("acme/shop#42", "a", false).await, None);
        assert_eq!(approval("acme/shop#42", "a", true).await, Some("a".into()));
        assert_eq!(approval("Acme/Shop#42", "b", true).await, Some("a".into()), "a push voids it");
        assert_eq!(approval("acme/shop#43", "b", true).await, Some("b".into()), "another pull request");
        assert_eq!(approval("acme/shop#42", "b", false).await, None);
        assert_eq!(approval("acme/shop#42", "b", true).await, Some("b".into()), "and setting it again renews it");
    }
}
