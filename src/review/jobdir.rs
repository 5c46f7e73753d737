//! A job's own directory, locked as long as a process works on it. It stays until the job's end is in the store: a
//! process that is killed leaves it, with the cage that may go on in it, to the next one that takes up the job. What
//! belongs to no open job any more goes.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::api::JobState;
use crate::cage::Cage;
use crate::files;
use crate::store::Store;

/// Below a job's directory: what we write for ourselves. The engine cannot write there, as it can in `scratch`.
pub(super) const OWN: &str = "own";

/// Makes the directory of a job, or takes up the one that an earlier process has left. It is ours until the handle is
/// dropped.
pub(super) fn take(dir: &Path) -> Result<File> {
    let take = || -> Result<File> {
        let workspace = dir.parent().context("it has no parent")?;
        files::make_dir(workspace, 0o700)?;
        // Nobody looks for what is left over between the next two lines.
        let gate = File::open(workspace)?;
        gate.lock_shared()?;
        files::make_dir(dir, 0o700)?;
        let held = File::open(dir)?;
        held.lock()?;
        files::remove_tree(&dir.join(OWN))?;
        files::make_dir(&dir.join(OWN), 0o700)?;
        Ok(held)
    };
    take().with_context(|| format!("could not make the job's directory `{}`", dir.display()))
}

/// Removes what a cage has left in a job's directory, but for [`OWN`].
pub(super) fn clear(dir: &Path) -> Result<()> {
    for name in files::names(dir)? {
        if name != OWN {
            files::remove_tree(&dir.join(name))?;
        }
    }
    Ok(())
}

/// Removes the directory of a job that has ended.
pub async fn remove(workspace: &Path, job: &str) {
    if let Err(error) = super::remove_tree(&workspace.join(job)).await {
        tracing::warn!("could not clean up after job {job}, ignoring: {error:#}");
    }
}

/// Gives back what the directory of a job whose engine has ended takes of a full disk: all of it, or, where its result is to
/// be `kept`, what nobody reads any more.
pub async fn make_room(workspace: &Path, job: &str, kept: bool) {
    if !kept {
        return remove(workspace, job).await;
    }
    for name in ["scratch", "tmp"] {
        if let Err(error) = super::remove_tree(&workspace.join(job).join(name)).await {
            tracing::warn!("could not clean up after job {job}, ignoring: {error:#}");
        }
    }
}

/// Jobs whose engine was at work when their process ended.
pub fn engines_left(workspace: &Path) -> Result<Vec<String>> {
    Ok(files::names(workspace)?.into_iter().filter(|job| super::begun::is_open(&workspace.join(job))).collect())
}

/// Jobs for which an engine was begun below `workspace`.
pub fn engines(workspace: &Path) -> Result<Vec<String>> {
    Ok(files::names(workspace)?.into_iter().filter(|job| super::begun::is_there(&workspace.join(job))).collect())
}

/// Removes what is left below `workspace` of jobs that have ended, or that no store knows; their cages first. What an
/// open job has stays for who begins it again. Says how many directories have gone.
pub async fn sweep(workspace: &Path, cage: &Cage, store: Option<&Store>) -> Result<usize> {
    let mut gone = 0;
    for (job, dir, _held) in abandoned(workspace)? {
        if is_open(store, &job).await? {
            continue;
        }
        tracing::info!("job {job} is no longer open; its cage and its directory go");
        cage.end(&job).await;
        super::remove_tree(&dir).await?;
        gone += 1;
    }
    Ok(gone)
}

/// Ends the cages of jobs that have ended, wherever their directories are or were.
pub async fn sweep_cages(cage: &Cage, store: &Store) -> Result<()> {
    for job in cage.jobs().await? {
        // One that the store does not know may be somebody's who works without it.
        if store.job_state(&job).await? == Some(JobState::Ended) {
            tracing::info!("job {job} has ended; its cage goes");
            cage.end(&job).await;
        }
    }
    Ok(())
}

/// Ends the cage of a job that ended while it waited in the queue.
pub async fn discard(workspace: &Path, job: &str, cage: &Cage) -> Result<()> {
    cage.end(job).await;
    super::remove_tree(&workspace.join(job)).await
}

/// Whether the store has more to do with a job.
pub async fn is_open(store: Option<&Store>, job: &str) -> Result<bool> {
    let Some(store) = store else { return Ok(false) };
    Ok(store.job_state(job).await?.is_some_and(|state| state != JobState::Ended))
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
    use crate::api::ReviewRequest;
    use crate::store::Ask;

    #[tokio::test]
    async fn what_no_open_job_has_goes_and_what_a_living_process_has_stays() {
        let root = tempfile::tempdir().unwrap();
        let workspace = root.path().join("workspace");
        let store = Store::open(&root.path().join("store.db")).unwrap();
        let cage = Cage::Child { because: "this is a test".into() };
        let sweep = async || sweep(&workspace, &cage, Some(&store)).await.unwrap();
        assert_eq!(sweep().await, 0);
        let request = ReviewRequest { pr: Some(1), ..Default::default() };
        let open = store.accept(Ask { request, ..Ask::default() }).await.unwrap().job.id;
        let [living, dead] = [(); 2].map(|()| workspace.join(ulid::Ulid::generate().to_string()));
        let held = take(&living).unwrap();
        drop(take(&dead).unwrap());
        drop(take(&workspace.join(&open)).unwrap());
        files::make_dir(&dead.join("scratch/deep"), 0o700).unwrap();
        files::make_dir(&workspace.join("of-the-user"), 0o700).unwrap();
        std::os::unix::fs::symlink(&living, workspace.join(ulid::Ulid::generate().to_string())).unwrap();
        // Other tests fork, and a child holds what we held until it has become another program.
        let sweep_one = async || {
            for _ in 0..100 {
                match sweep().await {
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
        assert!(!living.exists() && workspace.join(&open).exists());
        store.cancel(&open).await.unwrap();
        assert_eq!(sweep_one().await, 1);
        assert!(!workspace.join(&open).exists());
    }

    #[test]
    fn who_takes_up_a_directory_finds_what_the_cage_left_and_nothing_of_ours() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("workspace/01J");
        let held = take(&dir).unwrap();
        for name in [OWN, "out", "checkout"] {
            files::make_dir(&dir.join(name).join("x"), 0o700).unwrap();
        }
        drop(held);
        let _held = take(&dir).unwrap();
        assert_eq!(files::names(&dir).unwrap(), ["checkout", "out", OWN]);
        assert_eq!(files::names(&dir.join(OWN)).unwrap(), [""; 0]);
        clear(&dir).unwrap();
        assert_eq!(files::names(&dir).unwrap(), [OWN]);
    }
}
