//! A job's own directory, locked as long as its process lives. Where nobody holds the lock, whoever made the directory was
//! killed; then the next process removes it, and ends the cage that may still work in it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cage::Cage;
use crate::files;

/// Makes the directory of a job, which is its maker's until the handle is dropped.
pub(super) fn make(dir: &Path) -> Result<File> {
    let make = || -> Result<File> {
        let workspace = dir.parent().context("it has no parent")?;
        files::make_dir(workspace, 0o700)?;
        // Nobody looks for what is left over between the next two lines.
        let gate = File::open(workspace)?;
        gate.lock_shared()?;
        files::make_dir(dir, 0o700)?;
        let held = File::open(dir)?;
        held.lock()?;
        Ok(held)
    };
    make().with_context(|| format!("could not make the job's directory `{}`", dir.display()))
}

/// Removes what killed processes have left below `workspace`, their cages first. Says how many directories that were.
pub async fn sweep(workspace: &Path, cage: &Cage) -> Result<usize> {
    let left = abandoned(workspace)?;
    for (job, dir, _held) in &left {
        tracing::warn!("job {job} was ended by force; its cage and its directory go");
        cage.end(job).await;
        super::remove_tree(dir).await?;
    }
    Ok(left.len())
}

/// Job, directory and its lock, of those whose process is gone.
pub fn abandoned(workspace: &Path) -> Result<Vec<(String, PathBuf, File)>> {
    let find = || -> Result<Vec<(String, PathBuf, File)>> {
        if !workspace.is_dir() {
            return Ok(Vec::new());
        }
        let gate = File::open(workspace)?;
        gate.lock()?;
        let mut found = Vec::new();
        for job in files::names(workspace)? {
            let dir = workspace.join(&job);
            if ulid::Ulid::from_string(&job).is_err() || !fs::symlink_metadata(&dir)?.is_dir() {
                continue;
            }
            let held = File::open(&dir)?;
            match held.try_lock() {
                Ok(()) => found.push((job, dir, held)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        Ok(found)
    };
    find().with_context(|| format!("could not look for what is left in `{}`", workspace.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_process_left_goes_and_what_a_living_one_has_stays() {
        let root = tempfile::tempdir().unwrap();
        let workspace = root.path().join("workspace");
        let cage = Cage::Child { because: "this is a test".into() };
        assert_eq!(sweep(&workspace, &cage).await.unwrap(), 0);
        let [living, dead] = [(); 2].map(|()| workspace.join(ulid::Ulid::generate().to_string()));
        let held = make(&living).unwrap();
        drop(make(&dead).unwrap());
        files::make_dir(&dead.join("scratch/deep"), 0o700).unwrap();
        files::make_dir(&workspace.join("of-the-user"), 0o700).unwrap();
        std::os::unix::fs::symlink(&living, workspace.join(ulid::Ulid::generate().to_string())).unwrap();
        // Other tests fork, and a child holds what we held until it has become another program.
        let sweep_one = async || {
            for _ in 0..100 {
                match sweep(&workspace, &cage).await.unwrap() {
                    0 => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                    number => return number,
                }
            }
            0
        };
        assert_eq!(sweep_one().await, 1);
        assert!(living.exists() && !dead.exists() && workspace.join("of-the-user").exists());
        drop(held);
        assert_eq!(sweep_one().await, 1);
        assert!(!living.exists());
    }
}
