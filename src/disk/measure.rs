//! How much of the disk is ours, and where: walked by `cicdctl gc`, and remembered in a file, so that `status` need not
//! walk.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::files;
use crate::git::mirrors;
use crate::host::Paths;
use crate::store::now_ms;

/// What a directory takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// As the file system counts them: whole blocks, a hard link once, a hole not at all.
    pub bytes: u64,
    pub entries: u64,
    /// Something could not be looked into, or there was more than was to be looked at.
    pub hidden: bool,
}

/// Walks `top` without following links, within its file system, and gives up after `most` entries.
pub fn usage(top: &Path, most: u64) -> Usage {
    let mut usage = Usage::default();
    let Ok(about) = fs::symlink_metadata(top) else { return usage };
    let device = about.dev();
    let mut linked = HashSet::new();
    usage.add(&about, &mut linked);
    let mut dirs: Vec<PathBuf> = about.is_dir().then(|| top.to_owned()).into_iter().collect();
    while let Some(dir) = dirs.pop() {
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            // Work goes on while it is measured.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            // No permission to list, or no path so long as to lead there.
            Err(_) => {
                usage.hidden = true;
                continue;
            }
        };
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            usage.add(&about, &mut linked);
            if usage.entries >= most {
                usage.hidden = true;
                return usage;
            }
            if about.is_dir() && about.dev() == device {
                dirs.push(entry.path());
            }
        }
    }
    usage
}

impl Usage {
    fn add(&mut self, about: &fs::Metadata, linked: &mut HashSet<u64>) {
        self.entries += 1;
        if about.is_dir() || about.nlink() < 2 || linked.insert(about.ino()) {
            self.bytes += about.blocks() * 512;
        }
    }
}

/// Entries that are looked at in one of our directories.
pub const MOST: u64 = 5_000_000;

fn bytes(path: &Path) -> u64 {
    usage(path, MOST).bytes
}

/// Sizes in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sizes {
    /// When they were taken, in milliseconds since 1970.
    pub at_ms: i64,
    /// The state directory, and the cache directory.
    pub state: u64,
    pub cache: u64,
    /// With what belongs to it while it is open.
    pub store: u64,
    /// Copies of it.
    pub backups: u64,
    /// The runner first, which has no name.
    pub scopes: Vec<ScopeSize>,
    /// The largest first.
    pub mirrors: Vec<MirrorSize>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeSize {
    pub agent: Option<String>,
    pub workspace: u64,
    pub engine_home: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorSize {
    pub path: PathBuf,
    /// What it mirrors, as far as it can be told.
    pub of: Option<String>,
    pub bytes: u64,
    /// Milliseconds since 1970.
    pub used_ms: i64,
}

impl Sizes {
    pub fn total(&self) -> u64 {
        self.state + self.cache
    }

    pub fn mirrors_total(&self) -> u64 {
        self.mirrors.iter().map(|mirror| mirror.bytes).sum()
    }

    pub fn workspaces_total(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.workspace).sum()
    }

    pub fn engine_homes_total(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.engine_home).sum()
    }
}

/// Whose workspaces and engine homes there are: the runner's, and those of all agents that have left something,
/// configured or not.
pub fn scopes(paths: &Paths) -> Result<Vec<Option<AgentName>>> {
    let agents = files::names(&paths.state_dir.join("agents"))?;
    Ok(std::iter::once(None).chain(agents.iter().filter_map(|name| name.parse().ok()).map(Some)).collect())
}

/// Walks all that is ours. Blocks.
pub fn take(paths: &Paths) -> Result<Sizes> {
    let scopes = scopes(paths)?.into_iter().map(|agent| ScopeSize {
        workspace: bytes(&paths.workspace(agent.as_ref())),
        engine_home: bytes(&paths.engine_home(agent.as_ref())),
        agent: agent.map(|name| name.to_string()),
    });
    let mut mirrors: Vec<MirrorSize> = mirrors::list(&paths.cache_dir)?
        .into_iter()
        .map(|mirror| MirrorSize {
            bytes: bytes(&mirror.path),
            of: mirror.of,
            used_ms: mirror.used_ms,
            path: mirror.path,
        })
        .collect();
    mirrors.sort_by_key(|mirror| std::cmp::Reverse(mirror.bytes));
    let store = paths.store();
    let beside = ["", "-wal", "-shm"].map(|end| {
        let mut path = store.clone().into_os_string();
        path.push(end);
        bytes(Path::new(&path))
    });
    Ok(Sizes {
        at_ms: now_ms(),
        state: bytes(&paths.state_dir),
        cache: bytes(&paths.cache_dir),
        store: beside.iter().sum(),
        backups: crate::store::backups(&store)?.iter().map(|path| bytes(path)).sum(),
        scopes: scopes.collect(),
        mirrors,
    })
}

fn remembered_at(paths: &Paths) -> PathBuf {
    paths.state_dir.join("disk.json")
}

/// Remembers sizes for [`remembered`].
pub fn remember(paths: &Paths, sizes: &Sizes) -> Result<()> {
    files::write(&remembered_at(paths), &serde_json::to_vec(sizes)?, 0o600)
        .context("could not remember what was measured")
}

/// What was measured last; `None` where nobody has, or by another version.
pub fn remembered(paths: &Paths) -> Option<Sizes> {
    serde_json::from_str(&files::read(&remembered_at(paths)).ok()??).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn blocks_are_counted_links_once_and_what_is_hidden_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("a/b")).unwrap();
        fs::write(top.join("a/b/one"), vec![7; 100_000]).unwrap();
        fs::hard_link(top.join("a/b/one"), top.join("two")).unwrap();
        std::os::unix::fs::symlink("/usr", top.join("usr")).unwrap();
        let hole = fs::File::create(top.join("hole")).unwrap();
        hole.set_len(1 << 40).unwrap();
        let found = usage(&top, MOST);
        assert_eq!((found.entries, found.hidden), (7, false));
        assert!((100_000..200_000).contains(&found.bytes), "{found:?}");
        assert!(usage(&top, 3).hidden);
        assert_eq!(usage(&top.join("nothing"), MOST), Usage::default());
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        // Root looks into everything.
        assert_eq!(usage(&top, MOST).hidden, !nix::unistd::getuid().is_root());
        fs::set_permissions(top.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
    }
}
