//! Which schema a store has, without opening it for work (which would bring it up to date), and a copy of one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags};

use super::Store;
use crate::files;

/// The schema that this program knows.
pub const KNOWN: usize = super::SCHEMA_VERSION;

/// The schema of a store; `None` where there is none yet.
pub fn of(path: &Path) -> Result<Option<usize>> {
    if !path.exists() {
        return Ok(None);
    }
    let read = || -> Result<usize> { Ok(open(path)?.pragma_query_value(None, "user_version", |row| row.get(0))?) };
    Ok(Some(read().with_context(|| format!("could not read the schema of `{}`", path.display()))?))
}

/// Opens a store of just this schema. One of another is for its own program to write to, or is brought up to date by a
/// command that has to work with it: `None`, as where there is none.
pub fn open_as_it_is(path: &Path) -> Result<Option<Store>> {
    match of(path)? {
        Some(KNOWN) => Store::open(path).map(Some),
        _ => Ok(None),
    }
}

/// Writes a store as it is now, whole and for its owner alone, to another file.
pub fn copy(path: &Path, to: &Path) -> Result<()> {
    let copy = || -> Result<()> {
        // SQLite writes into a file that is there only where that is empty.
        files::write(to, b"", 0o600)?;
        let name = to.to_str().context("the path is no text")?;
        open(path)?.execute("VACUUM INTO ?1", [name])?;
        Ok(std::fs::File::open(to)?.sync_all()?)
    };
    copy().with_context(|| format!("could not copy `{}` to `{}`", path.display(), to.display()))
}

fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(20))?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ReviewRequest;
    use crate::store::Ask;

    #[tokio::test]
    async fn a_copy_has_what_the_store_has_and_its_schema() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("store.db"), dir.path().join("copy.db"));
        assert_eq!(of(&path).unwrap(), None);
        assert!(open_as_it_is(&path).unwrap().is_none() && !path.exists());
        let store = Store::open(&path).unwrap();
        let request = ReviewRequest { pr: Some(42), ..Default::default() };
        store.accept(Ask { request, ..Ask::default() }).await.unwrap();
        copy(&path, &to).unwrap();
        copy(&path, &to).unwrap();
        assert_eq!((of(&path).unwrap(), of(&to).unwrap()), (Some(KNOWN), Some(KNOWN)));
        assert_eq!(Store::open(&to).unwrap().queue(None).await.unwrap().queued, 1);
        assert!(of(dir.path()).is_err());
        assert!(open_as_it_is(&to).unwrap().is_some());
        Connection::open(&to).unwrap().pragma_update(None, "user_version", KNOWN - 1).unwrap();
        assert!(open_as_it_is(&to).unwrap().is_none());
        assert_eq!(of(&to).unwrap(), Some(KNOWN - 1), "it is left as it was");
    }
}
