//! Until when the credentials for a forge are good, as it has said last.

use anyhow::Result;
use rusqlite::params;

use super::Store;

impl Store {
    /// Notes when a credential ends, in milliseconds since 1970, or that it does not. Nothing is written that is known.
    pub async fn note_expiry(&self, name: &str, expires_ms: Option<i64>) -> Result<()> {
        let known = self.expiries().await?.into_iter().find(|(known, _)| known == name).map(|(_, ms)| ms);
        if known == expires_ms {
            return Ok(());
        }
        let name = name.to_owned();
        self.run(move |connection| {
            match expires_ms {
                Some(ms) => connection.execute("REPLACE INTO credentials VALUES (?1, ?2)", params![name, ms])?,
                None => connection.execute("DELETE FROM credentials WHERE name = ?1", [name])?,
            };
            Ok(())
        })
        .await
    }

    /// The credentials that end, and when, in milliseconds since 1970.
    pub async fn expiries(&self) -> Result<Vec<(String, i64)>> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached("SELECT name, expires_ms FROM credentials ORDER BY name")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_word_holds() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store.db")).unwrap();
        for said in [None, Some(7), Some(7), Some(9)] {
            store.note_expiry("github-token", said).await.unwrap();
            let known = said.map(|ms| ("github-token".to_owned(), ms));
            assert_eq!(store.expiries().await.unwrap(), Vec::from_iter(known));
        }
        store.note_expiry("other", Some(1)).await.unwrap();
        store.note_expiry("github-token", None).await.unwrap();
        assert_eq!(store.expiries().await.unwrap(), [("other".to_owned(), 1)]);
    }
}
