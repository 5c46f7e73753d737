//! Takes secrets out of what an engine keeps between jobs: its transcripts hold all that was said to it and by it, and
//! an engine can say its key.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::Redactor;
use crate::files;

/// Its time says when everything was clean.
const MARK: &str = ".cicdctl-clean";
/// A text that is larger than this is no transcript of ours.
const MAX_FILE: u64 = 64 << 20;
/// How deep and how much is looked at: all of it was written by an engine.
const MAX_FILES: usize = 10_000;

/// Cleans the files below `dir` that have changed since the last time; says how many had something in them. Links are
/// not followed.
pub fn scrub(dir: &Path, redactor: &Redactor) -> Result<usize> {
    let mark = dir.join(MARK);
    let since = fs::symlink_metadata(&mark).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    // What changes while we look is looked at the next time; times of files are not finer than a tick of the kernel.
    let began = SystemTime::now() - std::time::Duration::from_millis(20);
    let (mut cleaned, mut seen) = (0, 0);
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for (path, meta) in entries(&dir)? {
            seen += 1;
            if seen > MAX_FILES {
                break;
            }
            if meta.is_dir() {
                dirs.push(path);
            } else if meta.is_file() && meta.len() <= MAX_FILE && meta.modified().is_ok_and(|time| time >= since) {
                cleaned += usize::from(clean(&path, redactor)?);
            }
        }
    }
    files::write(&mark, b"", 0o600)?;
    fs::File::options()
        .write(true)
        .open(&mark)
        .and_then(|file| file.set_modified(began))
        .context("could not set a time")?;
    Ok(cleaned)
}

fn entries(dir: &Path) -> Result<Vec<(PathBuf, fs::Metadata)>> {
    let list = || -> std::io::Result<Vec<_>> {
        fs::read_dir(dir)?
            .map(|entry| {
                let path = entry?.path();
                let meta = path.symlink_metadata()?;
                Ok((path, meta))
            })
            .collect()
    };
    match list() {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.with_context(|| format!("could not look into `{}`", dir.display())),
    }
}

fn clean(path: &Path, redactor: &Redactor) -> Result<bool> {
    // No text, or gone meanwhile.
    let Ok(Some(text)) = files::read_untrusted(path, MAX_FILE) else { return Ok(false) };
    if !redactor.finds(&text) {
        return Ok(false);
    }
    files::write(path, redactor.text(&text).as_bytes(), 0o600)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcripts_are_cleaned_once_and_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("claude/projects/x");
        fs::create_dir_all(&deep).unwrap();
        let [said, other, binary] = ["a.jsonl", "b.jsonl", "c.bin"].map(|name| deep.join(name));
        let line = "{\"text\":\"my key is canary-4711\"}\n";
        fs::write(&said, line).unwrap();
        fs::write(&other, "{\"text\":\"nothing\"}\n").unwrap();
        fs::write(&binary, b"\xff canary").unwrap();
        let outside = dir.path().parent().unwrap().join(format!("outside-{}", std::process::id()));
        fs::write(&outside, line).unwrap();
        std::os::unix::fs::symlink(&outside, deep.join("link")).unwrap();
        let redactor = Redactor::new([("key", "canary-4711")]);
        assert_eq!(scrub(dir.path(), &redactor).unwrap(), 1);
        assert_eq!(fs::read_to_string(&said).unwrap(), "{\"text\":\"my key is [redacted key]\"}\n");
        assert_eq!(fs::read_to_string(&outside).unwrap(), line);
        fs::remove_file(&outside).unwrap();
        assert_eq!(scrub(dir.path(), &redactor).unwrap(), 0);
        fs::write(&other, line).unwrap();
        // One that has not changed since is not read again.
        fs::write(&said, line).unwrap();
        fs::File::options().write(true).open(&said).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(scrub(dir.path(), &redactor).unwrap(), 1);
    }
}
