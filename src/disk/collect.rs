//! Gives back what nobody needs any more: by age, by size, and what killed processes have left. Each kind by itself, so
//! that what goes wrong with one does not keep the others. A dry run looks at the same things and touches none.
//!
//! The order is that of a disk which is full already: files go first, the store last, as it needs room to become smaller.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::Serialize;

use super::measure::{self, MOST, Sizes};
use super::{engine_home, room};
use crate::cage::Cage;
use crate::config::Config;
use crate::files;
use crate::git::mirrors;
use crate::host::Paths;
use crate::review::jobdir;
use crate::store::{COPYING, Store, backups, now_ms};
use crate::task::off_the_loop;

/// What a kind of things has given back, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Taken {
    pub kind: &'static str,
    pub items: u64,
    pub bytes: u64,
}

/// What a collection has found and done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Report {
    pub dry_run: bool,
    /// After it.
    pub sizes: Sizes,
    /// Kinds that had something.
    pub taken: Vec<Taken>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl Report {
    pub fn bytes(&self) -> u64 {
        self.taken.iter().map(|taken| taken.bytes).sum()
    }
}

/// Files of a write that was killed are left alone for so long: it may be under way.
const WRITTEN_AFTER: Duration = Duration::from_secs(3600);

struct Collector<'a> {
    paths: &'a Paths,
    config: &'a Config,
    dry_run: bool,
    taken: Vec<Taken>,
    problems: Vec<String>,
}

/// One at a time: `None` where another process is at it.
pub async fn collect(paths: &Paths, config: &Config, cage: &Cage, dry_run: bool) -> Result<Option<Report>> {
    files::make_dir(&paths.state_dir, 0o700)?;
    // A lock that needs no room for a file of its own.
    let lock = std::fs::File::open(&paths.state_dir).context("could not open the state directory")?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
        Err(std::fs::TryLockError::Error(error)) => return Err(error).context("could not lock the state directory"),
    }
    let mut it = Collector { paths, config, dry_run, taken: Vec::new(), problems: Vec::new() };
    // One that cannot be opened is no reason to keep what else there is.
    let store = match paths.store().exists().then(|| Store::open(&paths.store())).transpose() {
        Ok(store) => store,
        Err(error) => {
            it.problems.push(crate::review::reason(&error));
            None
        }
    };
    let done = it.leftovers().await;
    it.note("leftovers", done);
    let done = it.job_directories(store.as_ref(), cage).await;
    it.note("job directories", done);
    let done = it.engine_homes().await;
    it.note("engine homes", done);
    let done = it.mirrors().await;
    it.note("mirrors", done);
    let done = it.packs().await;
    it.note("packed mirrors", done);
    let done = it.backups();
    it.note("backups", done);
    if let Some(store) = &store {
        // What is damaged is not written to.
        if let Err(error) = store.check_whole().await {
            it.problems.push(crate::review::reason(&error));
        } else {
            let done = it.jobs(store).await;
            it.note("jobs", done);
            let done = it.store(store).await;
            it.note("store", done);
        }
    }
    let Collector { taken, mut problems, .. } = it;
    let sizes = {
        let paths = paths.clone();
        off_the_loop(move || measure::take(&paths)).await??
    };
    if let Err(error) = measure::remember(paths, &sizes) {
        problems.push(crate::review::reason(&error));
    }
    Ok(Some(Report { dry_run, sizes, taken, problems }))
}

/// Items and bytes.
type Done = Result<(u64, u64)>;

impl Collector<'_> {
    fn note(&mut self, kind: &'static str, done: Done) {
        match done {
            Ok((0, 0)) => {}
            Ok((items, bytes)) => self.taken.push(Taken { kind, items, bytes }),
            Err(error) => self.problems.push(format!("{kind}: {}", crate::review::reason(&error))),
        }
    }

    /// Temporary files of writes that were killed, and mirrors half made or half gone.
    async fn leftovers(&mut self) -> Done {
        let mut left = mirrors::leftovers(&self.paths.cache_dir)?;
        for prefix in [files::TEMPORARY, COPYING] {
            left.extend(files::stale(&self.paths.state_dir, prefix, WRITTEN_AFTER)?);
        }
        self.remove(left).await
    }

    /// Directories of jobs that have ended, or that no store knows, and whose process is gone. One whose job has not
    /// ended waits for who begins it again.
    async fn job_directories(&mut self, store: Option<&Store>, cage: &Cage) -> Done {
        let mut sum = (0, 0);
        if store.is_none() && self.paths.store().exists() {
            return Ok(sum);
        }
        for scope in measure::scopes(self.paths)? {
            for (job, dir, _held) in jobdir::abandoned(&self.paths.workspace(scope.as_ref()))? {
                if jobdir::is_open(store, &job).await? {
                    continue;
                }
                if !self.dry_run {
                    cage.end(&job).await;
                }
                let (items, bytes) = self.remove(vec![dir]).await?;
                sum = (sum.0 + items, sum.1 + bytes);
            }
        }
        Ok(sum)
    }

    async fn engine_homes(&mut self) -> Done {
        let keep = self.config.disk.keep_sessions.0;
        // The other half is for what a job writes.
        let most = self.config.job.disk.0 / 2;
        let homes: Vec<PathBuf> =
            measure::scopes(self.paths)?.iter().map(|scope| self.paths.engine_home(scope.as_ref())).collect();
        let dry_run = self.dry_run;
        off_the_loop(move || {
            let mut sum = (0, 0);
            for home in homes {
                for file in engine_home::old(&home, keep, most, SystemTime::now()) {
                    if dry_run || engine_home::remove(&home, &file.path).is_ok() {
                        sum = (sum.0 + 1, sum.1 + file.bytes);
                    }
                }
            }
            Ok(sum)
        })
        .await?
    }

    /// Mirrors that were not used for the longest time, until the others have room: in `cache_max`, and on the disk.
    /// Everything in a mirror can be had again.
    async fn mirrors(&mut self) -> Done {
        let mut all = mirrors::list(&self.paths.cache_dir)?;
        all.sort_by_key(|mirror| mirror.used_ms);
        let sizes: Vec<u64> = {
            let paths: Vec<PathBuf> = all.iter().map(|mirror| mirror.path.clone()).collect();
            off_the_loop(move || paths.iter().map(|path| measure::usage(path, MOST).bytes).collect()).await?
        };
        let mut total: u64 = sizes.iter().sum();
        let mut sum = (0, 0);
        // A dry run gives nothing back.
        let mut free = room(&self.paths.cache_dir).map_or(u64::MAX, |room| room.free);
        for (mirror, bytes) in all.into_iter().zip(sizes) {
            if total <= self.config.disk.cache_max.0 && free >= self.config.disk.min_free.0 {
                break;
            }
            let Some(alone) = mirrors::alone(&mirror.path)? else { continue };
            if !self.dry_run {
                off_the_loop(move || alone.remove()).await??;
            }
            (total, free) = (total - bytes, free.saturating_add(bytes));
            sum = (sum.0 + 1, sum.1 + bytes);
        }
        Ok(sum)
    }

    /// Packs what lies about loose in the other mirrors.
    async fn packs(&mut self) -> Done {
        let mut sum = (0, 0);
        for mirror in mirrors::list(&self.paths.cache_dir)? {
            // How much smaller it becomes is only known once it is done.
            if self.dry_run || !mirrors::is_scattered(&mirror.path) {
                continue;
            }
            let Some(alone) = mirrors::alone(&mirror.path)? else { continue };
            let size = |path: PathBuf| off_the_loop(move || measure::usage(&path, MOST).bytes);
            let before = size(mirror.path.clone()).await?;
            alone.repack(self.config.disk.keep_sessions.0).await?;
            sum = (sum.0 + 1, sum.1 + before.saturating_sub(size(mirror.path).await?));
        }
        Ok(sum)
    }

    /// Copies of the store, but for the newest: by a clock that is wrong all of them would be old.
    fn backups(&mut self) -> Done {
        let mut all: Vec<(SystemTime, PathBuf)> = backups(&self.paths.store())?
            .into_iter()
            .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
            .collect();
        all.sort();
        all.pop();
        let keep = self.config.disk.keep_backups.0;
        let old = all.into_iter().filter(|(time, _)| time.elapsed().is_ok_and(|age| age > keep));
        let mut sum = (0, 0);
        for (_, path) in old {
            let bytes = measure::usage(&path, MOST).bytes;
            if !self.dry_run {
                files::remove(&path)?;
            }
            sum = (sum.0 + 1, sum.1 + bytes);
        }
        Ok(sum)
    }

    async fn jobs(&mut self, store: &Store) -> Done {
        let keep_ms = i64::try_from(self.config.disk.keep_jobs.0.as_millis()).unwrap_or(i64::MAX);
        let pruned = store.prune(now_ms(), keep_ms, self.dry_run).await?;
        Ok((pruned.jobs, pruned.bytes))
    }

    async fn store(&mut self, store: &Store) -> Done {
        if self.dry_run {
            return Ok((0, 0));
        }
        let free = room(&self.paths.state_dir).map_or(0, |room| room.free);
        // The rows that went have been counted; here it is what the file has become smaller by.
        store.compact(free.saturating_sub(self.config.disk.min_free.0)).await?;
        store.checkpoint().await?;
        Ok((0, 0))
    }

    async fn remove(&self, paths: Vec<PathBuf>) -> Done {
        let dry_run = self.dry_run;
        off_the_loop(move || {
            let mut sum = (0, 0);
            for path in paths {
                let bytes = measure::usage(&path, MOST).bytes;
                if !dry_run {
                    files::remove_tree(&path)?;
                }
                sum = (sum.0 + 1, sum.1 + bytes);
            }
            Ok(sum)
        })
        .await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;

    fn paths(dir: &std::path::Path) -> Paths {
        Paths {
            home: dir.into(),
            config_dir: dir.join("config"),
            config_home: dir.into(),
            state_dir: dir.join("state"),
            cache_dir: dir.join("cache"),
            runtime_dir: dir.join("run"),
        }
    }

    fn age(path: &std::path::Path, days: u64) {
        let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
        std::fs::File::open(path).unwrap().set_modified(time).unwrap();
    }

    #[tokio::test]
    async fn the_mirrors_that_were_not_used_for_the_longest_time_go_and_a_dry_run_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        let cage = Cage::Child { because: "this is a test".into() };
        for (name, days) in [("old", 9), ("older", 10), ("new", 1)] {
            let mirror = paths.cache_dir.join(format!("mirrors/{name}.git"));
            files::make_dir(&mirror, 0o700).unwrap();
            std::fs::write(mirror.join("HEAD"), "ref: refs/heads/main\n").unwrap();
            std::fs::write(mirror.join("pack"), vec![1; 1_000_000]).unwrap();
            std::fs::write(mirror.join("cicdctl.used"), "").unwrap();
            age(&mirror.join("cicdctl.used"), days);
        }
        for (schema, days) in [(3, 200), (4, 100), (5, 90)] {
            let copy = paths.state_dir.join(format!("store.db.bak-schema{schema}"));
            files::make_dir(&paths.state_dir, 0o700).unwrap();
            std::fs::write(&copy, vec![1; 10_000]).unwrap();
            age(&copy, days);
        }
        let mut config = Config::default();
        config.disk.cache_max = Size(1_500_000);
        config.disk.min_free = Size(0);
        let names = |dir: PathBuf| files::names(&dir).unwrap().join(" ");
        let collect = async |dry_run| collect(&paths, &config, &cage, dry_run).await.unwrap().unwrap();
        let would = collect(true).await;
        assert_eq!(names(paths.cache_dir.join("mirrors")), "new.git old.git older.git");
        let done = collect(false).await;
        assert_eq!((would.taken, &would.problems), (done.taken.clone(), &done.problems));
        let kinds: Vec<_> = done.taken.iter().map(|taken| (taken.kind, taken.items)).collect();
        assert_eq!(kinds, [("mirrors", 2), ("backups", 2)]);
        assert!((2_000_000..2_200_000).contains(&done.taken[0].bytes), "{done:?}");
        assert_eq!(names(paths.cache_dir.join("mirrors")), "new.git");
        assert_eq!(done.sizes.mirrors.len(), 1);
        // The newest copy stays, however old it is.
        assert_eq!(names(paths.state_dir.clone()), "disk.json store.db.bak-schema5");
        assert_eq!(measure::remembered(&paths), Some(done.sizes));
    }

    #[tokio::test]
    async fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let paths = paths(dir.path());
        files::make_dir(&paths.state_dir, 0o700).unwrap();
        let lock = std::fs::File::open(&paths.state_dir).unwrap();
        lock.lock().unwrap();
        let cage = Cage::Child { because: "this is a test".into() };
        assert!(collect(&paths, &Config::default(), &cage, false).await.unwrap().is_none());
    }
}
