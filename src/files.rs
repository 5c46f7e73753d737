//! The one place that writes the user's files: whole or not at all, never through a symlink that leads elsewhere,
//! and every error with its path.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::error::Fail;

/// How the names of temporary files begin.
pub const TEMPORARY: &str = ".cicdctl-";

/// The text of a file, `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read `{}`", path.display())),
    }
}

/// Writes a file by way of a temporary one beside it: after a crash there is the old text or the new, never half.
/// Text and directory entry are on disk when this returns.
pub fn write(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    write_with(path, mode, |file| Ok(file.write_all(text)?))
}

/// The same for what is better not held in memory.
pub fn write_with(path: &Path, mode: u32, fill: impl FnOnce(&mut fs::File) -> Result<()>) -> Result<()> {
    let write = || -> Result<()> {
        let dir = path.parent().context("the path has no directory")?;
        if let Ok(meta) = fs::symlink_metadata(path)
            && !meta.is_file()
        {
            bail!(Fail::new("it is there and no regular file").hint("move it away, then run the command again"));
        }
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(dir)?;
        fill(file.as_file_mut())?;
        // The builder's mode is subject to the umask.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_dir(dir)
    };
    write().with_context(|| format!("could not write `{}`", path.display()))
}

/// Removes what a [`write`] to a file of this directory left that was killed.
pub fn remove_temporary(dir: &Path) -> Result<()> {
    for name in names(dir)? {
        let path = dir.join(&name);
        if name.starts_with(TEMPORARY) && path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Such files that are older than `age`: of a younger one the write may be under way.
pub fn temporary(dir: &Path, age: std::time::Duration) -> Result<Vec<PathBuf>> {
    let is_left = |path: &PathBuf| {
        let about = path.symlink_metadata().ok().filter(fs::Metadata::is_file);
        about.is_some_and(|about| about.modified().is_ok_and(|time| time.elapsed().is_ok_and(|passed| passed > age)))
    };
    let names = names(dir)?.into_iter().filter(|name| name.starts_with(TEMPORARY));
    Ok(names.map(|name| dir.join(name)).filter(is_left).collect())
}

/// Makes a directory and what is missing above it.
pub fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("could not make the directory `{}`", path.display()))
}

/// The directories that [`make_dir`] would make, outermost first.
pub fn missing_dirs(path: &Path) -> Vec<PathBuf> {
    let mut missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .map(Path::to_path_buf)
        .collect();
    missing.reverse();
    missing
}

/// Removes a file or symlink; one that is gone already is as good.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove `{}`", path.display()))
        }
        _ => Ok(()),
    }
}

/// The text of a file that somebody may have put there who is not to be trusted: at most `max` bytes, and only if it
/// is a regular file and no symlink.
pub fn read_untrusted(path: &Path, max: u64) -> Result<Option<String>> {
    let read = || -> Result<Option<String>> {
        let Some(file) = open_untrusted(path)? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(max + 1).read_to_end(&mut text)?;
        if text.len() as u64 > max {
            bail!("it is larger than {max} bytes");
        }
        Ok(Some(String::from_utf8(text)?))
    };
    read().with_context(|| format!("could not read `{}`", path.display()))
}

/// Opens such a file for reading; `None` where there is none.
pub fn open_untrusted(path: &Path) -> Result<Option<fs::File>> {
    use rustix::fs::{Mode, OFlags};
    // Not to block on a FIFO, either.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => {
            let file = fs::File::from(file);
            if !file.metadata()?.is_file() {
                bail!("it is no regular file");
            }
            Ok(Some(file))
        }
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes a directory with all that is in it, whatever its modes and however deep; symlinks are removed, not followed.
pub fn remove_tree(path: &Path) -> Result<()> {
    let remove = || match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => remove_flat(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    or_gone(remove()).with_context(|| format!("could not remove `{}`", path.display()))
}

/// What is deeper is moved up before it is removed: a tree may be so deep that no path leads to its end, nor enough
/// descriptors, nor a recursion that the stack holds.
fn remove_flat(path: &Path) -> std::io::Result<()> {
    // Somebody may have taken away the permission to list or change a directory that is ours.
    let open = |dir: &Path| or_gone(fs::set_permissions(dir, fs::Permissions::from_mode(0o700)));
    open(path)?;
    let mut moved = 0u64;
    loop {
        let mut found = false;
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            found = true;
            let dir = entry.path();
            if !entry.file_type()?.is_dir() {
                or_gone(fs::remove_file(&dir))?;
                continue;
            }
            open(&dir)?;
            for below in fs::read_dir(&dir)? {
                let below = below?;
                if !below.file_type()?.is_dir() {
                    or_gone(fs::remove_file(below.path()))?;
                    continue;
                }
                // A directory is moved only by who may write in it.
                open(&below.path())?;
                let to = loop {
                    let to = path.join(format!(".{moved}"));
                    moved += 1;
                    if to.symlink_metadata().is_err() {
                        break to;
                    }
                };
                or_gone(fs::rename(below.path(), to))?;
            }
            or_gone(fs::remove_dir(&dir))?;
        }
        if !found {
            return fs::remove_dir(path);
        }
    }
}

/// What is gone already is as good as removed.
fn or_gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a directory if it is empty; says whether it is gone.
pub fn remove_dir_if_empty(path: &Path) -> bool {
    match fs::remove_dir(path) {
        Ok(()) => true,
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// Names in a directory, sorted; none where there is no directory.
pub fn names(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("could not list `{}`", path.display())),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// What was made, renamed or removed in a directory is on disk when this returns.
pub fn sync_dir(dir: &Path) -> Result<()> {
    Ok(fs::File::open(dir)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_sets_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.conf");
        write(&path, b"a long first text", 0o644).unwrap();
        write(&path, b"short", 0o600).unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some("short"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(dir.path()).unwrap(), ["x.conf"]);
    }

    #[test]
    fn a_write_does_not_go_through_a_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("precious");
        fs::write(&target, "keep").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("link")).unwrap();
        let error = write(&dir.path().join("link"), b"gone", 0o644).unwrap_err();
        assert!(format!("{error:#}").contains("no regular file"), "{error:#}");
        assert_eq!(read(&target).unwrap().as_deref(), Some("keep"));
    }

    #[test]
    fn an_untrusted_file_is_not_followed_and_not_read_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        assert_eq!(read_untrusted(&path, 10).unwrap(), None);
        fs::write(&path, "0123456789").unwrap();
        assert_eq!(read_untrusted(&path, 10).unwrap().as_deref(), Some("0123456789"));
        assert!(format!("{:#}", read_untrusted(&path, 9).unwrap_err()).contains("larger than 9"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(read_untrusted(&path, 1 << 20).is_err());
        assert!(read_untrusted(Path::new("/dev/zero"), 10).is_err());
    }

    #[test]
    fn a_tree_goes_whatever_its_modes() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        make_dir(&tree.join("a/b"), 0o700).unwrap();
        fs::write(tree.join("a/b/c"), "").unwrap();
        std::os::unix::fs::symlink(dir.path(), tree.join("a/up")).unwrap();
        fs::set_permissions(tree.join("a/b"), fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && dir.path().exists());
    }

    #[test]
    fn a_tree_goes_however_deep_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        make_dir(&tree.join(".0/x"), 0o700).unwrap();
        // Built from its end, as no path leads there.
        for depth in 0..3000 {
            let outer = tree.join(format!("d{depth}"));
            make_dir(&outer, 0o700).unwrap();
            fs::write(outer.join("file"), "").unwrap();
            if depth > 0 {
                fs::rename(tree.join(format!("d{}", depth - 1)), outer.join("d")).unwrap();
            }
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn missing_directories_are_listed_outermost_first() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        assert_eq!(missing_dirs(&deep), [dir.path().join("a"), deep.clone()]);
        make_dir(&deep, 0o700).unwrap();
        assert!(missing_dirs(&deep).is_empty());
    }
}
