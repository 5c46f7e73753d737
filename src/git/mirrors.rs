//! The mirrors of one cache as a whole: who uses which, when that was last, how they are made smaller and how they go.
//!
//! Whoever has a mirror open holds the lock of a file in it, shared; its time is when it was opened last. Whoever changes
//! a mirror as a whole holds it alone, and takes it away by renaming it first: who waited for the lock then sees that it
//! is another mirror's.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::Git;
use crate::files;

const USED: &str = "cicdctl.used";
/// How the names of mirrors begin that are being made, and that are being removed.
pub(super) const NEW: &str = ".new-";
const GONE: &str = ".gone-";
/// With so many of either git looks for objects noticeably longer.
const MANY_LOOSE: usize = 2000;
const MANY_PACKS: usize = 20;
/// A mirror is made in seconds.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 3600);

pub fn directory(cache_dir: &Path) -> PathBuf {
    cache_dir.join("mirrors")
}

/// A mirror that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// The working copy that it is of. That of a remote does not say.
    pub of: Option<String>,
    /// Milliseconds since 1970.
    pub used_ms: i64,
}

/// All mirrors, in no order that means anything.
pub fn list(cache_dir: &Path) -> Result<Vec<Found>> {
    let dir = directory(cache_dir);
    let mut found = Vec::new();
    for name in files::names(&dir)? {
        let path = dir.join(&name);
        if name.starts_with('.') || !path.join("HEAD").exists() {
            continue;
        }
        // One of an earlier version has no such file.
        let time = [path.join(USED), path.join("HEAD")].iter().find_map(|file| file.metadata().ok()?.modified().ok());
        let since = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        let alternates = files::read_untrusted(&path.join("objects/info/alternates"), 1 << 16).ok().flatten();
        let of = alternates.and_then(|text| {
            let objects = Path::new(text.trim_end());
            let git_dir = objects.parent()?;
            let top = if git_dir.file_name()? == ".git" { git_dir.parent()? } else { git_dir };
            Some(top.display().to_string())
        });
        found.push(Found { path, of, used_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) });
    }
    Ok(found)
}

/// Notes that a mirror is in use from now on, until the handle is dropped. `None` where it went away meanwhile. Waits
/// while it is made smaller.
pub(super) async fn hold(mirror: &Path) -> Result<Option<File>> {
    let path = mirror.join(USED);
    let hold = move || -> Result<Option<File>> {
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        file.lock_shared()?;
        let is_it = fs::metadata(&path).is_ok_and(|there| there.ino() == file.metadata().map_or(0, |own| own.ino()));
        if !is_it {
            return Ok(None);
        }
        // On a disk that takes no more times it is only gone earlier than it might.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(file))
    };
    let held = tokio::task::spawn_blocking(hold).await.context("the lock panicked")?;
    held.with_context(|| format!("could not lock the mirror `{}`", mirror.display()))
}

/// A mirror that nobody uses, nor can until this is dropped.
pub struct Alone {
    path: PathBuf,
    _held: [File; 2],
}

/// `None` where it is in use: by one of us, or by a git that has outlived its job.
pub fn alone(mirror: &Path) -> Result<Option<Alone>> {
    let mut held = Vec::new();
    for name in [USED, super::LOCK] {
        let path = mirror.join(name);
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.with_context(|| format!("could not open `{}`", path.display()))?;
        match file.try_lock() {
            Ok(()) => held.push(file),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("could not lock `{}`", path.display()));
            }
        }
    }
    let held = held.try_into().ok().context("two locks")?;
    Ok(Some(Alone { path: mirror.to_owned(), _held: held }))
}

impl Alone {
    /// It is made anew when it is wanted again.
    pub fn remove(self) -> Result<()> {
        let name = self.path.file_name().context("a mirror has a name")?;
        let gone = self.path.with_file_name(format!("{GONE}{}", name.to_string_lossy()));
        // Left by a process that was killed.
        files::remove_tree(&gone)?;
        fs::rename(&self.path, &gone).with_context(|| format!("could not move `{}` away", self.path.display()))?;
        files::remove_tree(&gone)
    }

    /// Packs what lies about loose, and drops what nothing refers to and is older than `keep`.
    pub async fn repack(&self, keep: Duration) -> Result<()> {
        let mut git = Git::new();
        git.arg("--git-dir").arg(&self.path).args(["gc", "--quiet"]);
        git.arg(format!("--prune={}.seconds.ago", keep.as_secs()));
        git.text().await.with_context(|| format!("could not pack the mirror `{}`", self.path.display()))?;
        Ok(())
    }
}

/// Whether packing it is worth the work.
pub fn is_scattered(mirror: &Path) -> bool {
    let count =
        |dir: &Path, end: &str| files::names(dir).unwrap_or_default().iter().filter(|name| name.ends_with(end)).count();
    let objects = mirror.join("objects");
    if count(&objects.join("pack"), ".pack") >= MANY_PACKS {
        return true;
    }
    let folders = files::names(&objects).unwrap_or_default();
    folders.iter().filter(|name| name.len() == 2).map(|name| count(&objects.join(name), "")).sum::<usize>()
        >= MANY_LOOSE
}

/// What killed processes have left of mirrors that they made or removed.
pub fn leftovers(cache_dir: &Path) -> Result<Vec<PathBuf>> {
    let dir = directory(cache_dir);
    let is_left = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let time = fs::symlink_metadata(path).and_then(|about| about.modified());
        let old = time.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > LEFT_AFTER));
        name.starts_with(GONE) || name.starts_with(NEW) && old
    };
    Ok(files::names(&dir)?.iter().map(|name| dir.join(name)).filter(|path| is_left(path)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::bare;

    #[tokio::test]
    async fn a_mirror_goes_only_where_nobody_uses_it_and_comes_back() {
        let cache = tempfile::tempdir().unwrap();
        let (dir, held) = bare(cache.path(), b"x", "sha1").await.unwrap();
        assert!(alone(&dir).unwrap().is_none(), "it is in use");
        drop(held);
        // Other tests fork, and a child holds what we held until it has become another program.
        let mut free = alone(&dir).unwrap();
        while free.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            free = alone(&dir).unwrap();
        }
        // Who waits for it while it goes gets a new one.
        let (waits, at) = (cache.path().to_owned(), dir.clone());
        let waiting = tokio::spawn(async move { bare(&waits, b"x", "sha1").await.unwrap() });
        tokio::time::sleep(Duration::from_millis(100)).await;
        free.unwrap().remove().unwrap();
        let (again, _held) = waiting.await.unwrap();
        assert_eq!(again, at);
        assert!(again.join("HEAD").exists() && alone(&again).unwrap().is_none());
        assert_eq!(list(cache.path()).unwrap().len(), 1);
        assert_eq!(leftovers(cache.path()).unwrap(), Vec::<PathBuf>::new());
    }
}
