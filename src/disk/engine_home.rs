//! What of an engine's home is done with. An engine keeps conversations, logs and caches there for as long as nobody
//! takes them away; settings and the answer to its first questions are few and stay.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::measure::MOST;

/// Directories, from the home, whose files nobody reads again: what Claude Code and the programs that it starts log and
/// cache.
const JUNK: [&str; 11] = [
    "claude/debug",
    "claude/logs",
    "claude/statsig",
    "claude/telemetry",
    "claude/todos",
    "claude/shell-snapshots",
    "claude/file-history",
    "claude/cache",
    "claude/paste-cache",
    ".cache",
    ".npm",
];
const JUNK_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Settings, by their names in the home or in `claude/`.
const KEPT: [&str; 4] = [".claude.json", "settings.json", ".credentials.json", "CLAUDE.md"];
/// What changed within this time may be of a review under way.
const LIVE: Duration = Duration::from_secs(3600);

/// A file that can go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    pub path: PathBuf,
    pub bytes: u64,
}

/// The files of `home` that can go: what is older than `keep`, what is junk, and then the oldest until all that is left is
/// at most `most` bytes.
pub fn old(home: &Path, keep: Duration, most: u64, now: SystemTime) -> Vec<Old> {
    let (mut old, mut rest) = (Vec::new(), Vec::new());
    let mut left = 0;
    let mut dirs = vec![home.to_owned()];
    let mut looked = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            looked += 1;
            if looked > MOST {
                return old;
            }
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            if about.is_dir() {
                dirs.push(path);
                continue;
            }
            let bytes = about.blocks() * 512;
            let age = about.modified().ok().and_then(|time| now.duration_since(time).ok()).unwrap_or_default();
            let below = path.strip_prefix(home).unwrap_or(&path);
            let within = below.strip_prefix("claude").unwrap_or(below);
            if age < LIVE || KEPT.iter().any(|name| within == Path::new(name)) {
                left += bytes;
            } else if age > keep || age > JUNK_AFTER && JUNK.iter().any(|dir| below.starts_with(dir)) {
                old.push(Old { path, bytes });
            } else {
                left += bytes;
                rest.push((age, Old { path, bytes }));
            }
        }
    }
    rest.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    for (_, file) in rest {
        if left <= most {
            break;
        }
        left -= file.bytes;
        old.push(file);
    }
    old
}

/// Removes a file, and the directories above it that are empty by then, up to the home itself.
pub fn remove(home: &Path, path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)?;
    for dir in path.ancestors().skip(1).take_while(|dir| *dir != home) {
        // Only goes where it is empty.
        if fs::remove_dir(dir).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_conversations_and_junk_go_and_settings_and_what_is_at_work_stay() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path();
        let day = Duration::from_secs(24 * 3600);
        let now = SystemTime::now();
        let file = |path: &str, age: Duration| {
            let path = home.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, [b'x'; 10_000]).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(now - age).unwrap();
        };
        file("claude/projects/-a/old.jsonl", 31 * day);
        file("claude/projects/-b/new.jsonl", 5 * day);
        file("claude/projects/-c/newer.jsonl", 2 * day);
        file("claude/debug/log.txt", 2 * day);
        file("claude/debug/now.txt", day / 48);
        file("claude/.claude.json", 90 * day);
        file("claude/projects/settings.json", 90 * day);
        let names = |most| {
            let mut names: Vec<String> = old(home, 30 * day, most, now)
                .iter()
                .map(|file| file.path.strip_prefix(home.join("claude")).unwrap().display().to_string())
                .collect();
            names.sort();
            names.join(" ")
        };
        let done_with = "debug/log.txt projects/-a/old.jsonl projects/settings.json";
        assert_eq!(names(u64::MAX), done_with);
        // 4 are left, of 12 kB each: the oldest goes.
        assert_eq!(names(40_000), "debug/log.txt projects/-a/old.jsonl projects/-b/new.jsonl projects/settings.json");
        for file in old(home, 30 * day, 0, now) {
            remove(home, &file.path).unwrap();
        }
        assert!(home.join("claude/.claude.json").exists() && home.join("claude/debug/now.txt").exists());
        assert!(!home.join("claude/projects").exists());
        assert_eq!(old(&home.join("nowhere"), day, 0, now), []);
    }
}
