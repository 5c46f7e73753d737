//! The one place that writes the user's files: whole or not at all, never through a symlink that leads elsewhere,
//! and every error with its path.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::error::Fail;

/// How the names of temporary files begin; the number of the process that writes follows.
pub const TEMPORARY: &str = ".cicdctl-";

/// Longest file that is read to be compared with another; a unit file has some kilobytes.
const MAX_COMPARED: u64 = 4 << 20;

/// The text of a file, `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read `{}`", path.display())),
    }
}

/// Copies all there is to read; hands back its SHA-256, as `sha256sum` prints it.
pub fn copy_hashed(source: &mut impl Read, sink: &mut impl Write) -> std::io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match source.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => {
                hash.update(&buffer[..read]);
                sink.write_all(&buffer[..read])?;
            }
        }
    }
}

/// Writes a file by way of a temporary one beside it: after a crash there is the old text or the new, never half.
/// Text and directory entry are on disk when this returns.
pub fn write(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    write_with(path, mode, |file| Ok(file.write_all(text)?))
}

/// The same for what is better not held in memory.
pub fn write_with(path: &Path, mode: u32, fill: impl FnOnce(&mut fs::File) -> Result<()>) -> Result<()> {
    put(path, mode, fill, Before::Whatever)
}

/// Writes a file that is not there yet: what somebody else puts there meanwhile is not overwritten.
pub fn create(path: &Path, text: &[u8], mode: u32) -> Result<()> {
    put(path, mode, |file| Ok(file.write_all(text)?), Before::Nothing)
}

/// Writes a file in the place of one with the text `old`: what somebody else has made of it meanwhile is not
/// overwritten.
pub fn replace(path: &Path, old: &str, text: &[u8], mode: u32) -> Result<()> {
    put(path, mode, |file| Ok(file.write_all(text)?), Before::Text(old))
}

/// What a file must be for another to take its place.
#[derive(Clone, Copy)]
enum Before<'a> {
    /// Any regular file, or none.
    Whatever,
    Nothing,
    Text(&'a str),
}

fn put(path: &Path, mode: u32, fill: impl FnOnce(&mut fs::File) -> Result<()>, before: Before<'_>) -> Result<()> {
    let write = || -> Result<()> {
        let dir = path.parent().context("the path has no directory")?;
        if let Ok(meta) = fs::symlink_metadata(path)
            && !meta.is_file()
        {
            bail!(Fail::new("it is there and no regular file").hint("move it away, then run the command again"));
        }
        let mut file = tempfile::Builder::new()
            .prefix(&format!("{TEMPORARY}{}-", std::process::id()))
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(dir)?;
        fill(file.as_file_mut())?;
        // The builder's mode is subject to the umask.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
        file.as_file().sync_all()?;
        match before {
            Before::Nothing => match file.persist_noclobber(path) {
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => return Err(meanwhile("made")),
                done => done.map_err(|error| error.error)?,
            },
            // As late as can be: what is left is the time between two system calls.
            Before::Text(old) if !is_still(path, old)? => return Err(meanwhile("changed")),
            Before::Text(_) | Before::Whatever => file.persist(path).map_err(|error| error.error)?,
        };
        sync_dir(dir)
    };
    write().with_context(|| format!("could not write `{}`", path.display()))
}

/// Gives a file a second name, in place of what has it: a hard link, or a copy where the file system or its owner does not
/// allow one.
pub fn link_over(path: &Path, name: &Path) -> Result<()> {
    let link = || -> Result<()> {
        let dir = name.parent().context("the path has no directory")?;
        let temporary = dir.join(format!("{TEMPORARY}{}-link", std::process::id()));
        remove(&temporary)?;
        match fs::hard_link(path, &temporary) {
            Ok(()) => {
                // Of two names of one file the rename does nothing, and leaves both.
                fs::rename(&temporary, name)?;
                remove(&temporary)?;
                sync_dir(dir)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(error.into()),
            Err(_) => {
                let mut source = fs::File::open(path)?;
                let mode = source.metadata()?.permissions().mode() & 0o777;
                write_with(name, mode, |file| Ok(std::io::copy(&mut source, file).map(drop)?))
            }
        }
    };
    link().with_context(|| format!("could not keep `{}` as `{}`", path.display(), name.display()))
}

/// Moves a file over another of the same directory: at any moment there is the one or the other.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let rename = || -> Result<()> {
        fs::rename(from, to)?;
        sync_dir(to.parent().context("the path has no directory")?)
    };
    rename().with_context(|| format!("could not put `{}` in the place of `{}`", from.display(), to.display()))
}

/// Removes a file with the text `old`, and not what somebody else has made of it meanwhile; one that is gone is as good.
pub fn remove_if(path: &Path, old: &str) -> Result<()> {
    let remove = || match look(path)? {
        Some(found) if found.link.is_some() || found.text != old => Err(meanwhile("changed")),
        Some(_) => Ok(or_gone(fs::remove_file(path))?),
        None => Ok(()),
    };
    remove().with_context(|| format!("could not remove `{}`", path.display()))
}

fn is_still(path: &Path, old: &str) -> Result<bool> {
    Ok(look(path)?.is_some_and(|found| found.link.is_none() && found.text == old))
}

fn meanwhile(what: &str) -> anyhow::Error {
    Fail::new(format!("somebody else has {what} it meanwhile"))
        .hint("it was left as it is; look at it, then run the command again")
        .into()
}

/// A file that is to be compared with what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes that are no UTF-8 are replaced. Empty for what is no file, or too large to be one of ours.
    pub text: String,
    /// Where it leads, if it is a symlink.
    pub link: Option<PathBuf>,
}

/// Looks at whatever is at `path`, without waiting for a FIFO.
pub fn look(path: &Path) -> Result<Option<Found>> {
    use rustix::fs::{Mode, OFlags};
    let look = || -> Result<Option<Found>> {
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let link = if meta.is_symlink() { Some(fs::read_link(path)?) } else { None };
        let mut text = Vec::new();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::open(path, flags, Mode::empty()).map(fs::File::from) {
            Ok(file) if file.metadata()?.is_file() && file.metadata()?.len() <= MAX_COMPARED => {
                file.take(MAX_COMPARED).read_to_end(&mut text)?;
            }
            Ok(_) => {}
            // A link that leads nowhere, or where we may not look, is still a link; a socket cannot be opened.
            Err(_) if link.is_some() || !meta.is_file() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Some(Found { text: String::from_utf8_lossy(&text).into_owned(), link }))
    };
    look().with_context(|| format!("could not read `{}`", path.display()))
}

/// Removes what a [`write`] to a file of this directory left that was killed, unless a process of that number lives.
pub fn remove_abandoned(dir: &Path) -> Result<()> {
    abandoned(dir)?.iter().try_for_each(|path| remove(path))
}

/// What that would remove.
pub fn abandoned(dir: &Path) -> Result<Vec<PathBuf>> {
    let alive = |pid: &str| Path::new("/proc").join(pid).exists();
    temporary(dir, |writer| writer.is_none_or(|pid| !alive(pid)))
}

/// The same where nobody else writes now: a number says nothing once another process has got it.
pub fn remove_temporary(dir: &Path) -> Result<()> {
    temporary(dir, |_| true)?.iter().try_for_each(|path| remove(path))
}

fn temporary(dir: &Path, is_left: impl Fn(Option<&str>) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for name in names(dir)? {
        let Some(rest) = name.strip_prefix(TEMPORARY) else { continue };
        let writer = rest.split_once('-').map(|(pid, _)| pid).filter(|pid| pid.parse::<u32>().is_ok());
        let path = dir.join(&name);
        if is_left(writer) && path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
            found.push(path);
        }
    }
    Ok(found)
}

/// What has a name that begins so and is older than `age`: of what is younger the work may be under way.
pub fn stale(dir: &Path, prefix: &str, age: std::time::Duration) -> Result<Vec<PathBuf>> {
    let is_old = |path: &PathBuf| {
        let time = path.symlink_metadata().and_then(|about| about.modified());
        time.is_ok_and(|time| time.elapsed().is_ok_and(|passed| passed > age))
    };
    let names = names(dir)?.into_iter().filter(|name| name.starts_with(prefix));
    Ok(names.map(|name| dir.join(name)).filter(is_old).collect())
}

/// That `dir`, or the nearest directory above it that exists, is the user's, wherever symlinks lead.
pub fn check_owner(dir: &Path, uid: u32) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    for above in dir.ancestors() {
        match fs::metadata(above) {
            Ok(meta) if meta.uid() == uid => return Ok(()),
            Ok(meta) => {
                let real = fs::canonicalize(above).unwrap_or_else(|_| above.to_path_buf());
                let what = if real == above {
                    format!("`{}`", above.display())
                } else {
                    format!("`{}` leads to `{}`, which", above.display(), real.display())
                };
                bail!(
                    Fail::new(format!(
                        "nothing is written into `{}`: {what} belongs to another user (uid {})",
                        dir.display(),
                        meta.uid()
                    ))
                    .hint("let it be a directory of yours, then run the command again")
                );
            }
            Err(_) if fs::symlink_metadata(above).is_ok_and(|meta| meta.is_symlink()) => bail!(
                Fail::new(format!(
                    "nothing is written into `{}`: `{}` is a symlink that leads nowhere",
                    dir.display(),
                    above.display()
                ))
                .hint("remove it, or make the directory that it leads to")
            ),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Makes a directory and what is missing above it.
pub fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .with_context(|| format!("could not make the directory `{}`", path.display()))
}

/// The same for what must be there after a power cut, too: the names of what was made are on disk when this returns.
pub fn make_dir_durably(path: &Path, mode: u32) -> Result<()> {
    let missing = missing_dirs(path);
    make_dir(path, mode)?;
    for dir in missing.iter().filter_map(|dir| dir.parent()) {
        // A relative path may begin with nothing.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        sync_dir(dir).with_context(|| format!("could not sync the directory `{}`", dir.display()))?;
    }
    Ok(())
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
    let open = |dir: &Path| or_gone(make_ours(dir));
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

/// By what it is and not by its name: whose directory it is in may have put a symlink in its place.
fn make_ours(dir: &Path) -> std::io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let held = rustix::fs::open(dir, flags, Mode::empty())?;
    fs::set_permissions(format!("/proc/self/fd/{}", held.as_raw_fd()), fs::Permissions::from_mode(0o700))
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
    fn a_second_name_takes_the_place_of_what_had_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, name, new) = (dir.path().join("p"), dir.path().join("p.old"), dir.path().join("new"));
        fs::write(&path, "one").unwrap();
        fs::write(&name, "before").unwrap();
        link_over(&path, &name).unwrap();
        link_over(&path, &name).unwrap();
        assert_eq!(read(&name).unwrap().as_deref(), Some("one"));
        fs::write(&new, "two").unwrap();
        rename(&new, &path).unwrap();
        assert_eq!((read(&path).unwrap().as_deref(), read(&name).unwrap().as_deref()), (Some("two"), Some("one")));
        assert_eq!(names(dir.path()).unwrap(), ["p", "p.old"]);
    }

    #[test]
    fn what_somebody_else_has_made_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.service");
        create(&path, b"one", 0o644).unwrap();
        let error = create(&path, b"two", 0o644).unwrap_err();
        assert!(format!("{error:#}").contains("somebody else has made it meanwhile"), "{error:#}");
        replace(&path, "one", b"two", 0o644).unwrap();
        for error in [replace(&path, "one", b"three", 0o644).unwrap_err(), remove_if(&path, "one").unwrap_err()] {
            assert!(format!("{error:#}").contains("somebody else has changed it meanwhile"), "{error:#}");
        }
        assert_eq!(read(&path).unwrap().as_deref(), Some("two"));
        // One that is gone must not come back by an update.
        remove_if(&path, "two").unwrap();
        assert!(replace(&path, "two", b"three", 0o644).is_err());
        remove_if(&path, "two").unwrap();
        // A link with the right text at its end is not the file.
        fs::write(dir.path().join("target"), "two").unwrap();
        std::os::unix::fs::symlink("target", &path).unwrap();
        assert!(replace(&path, "two", b"three", 0o644).is_err() && remove_if(&path, "two").is_err());
        assert!(create(&path, b"three", 0o644).is_err());
        assert_eq!(read(&dir.path().join("target")).unwrap().as_deref(), Some("two"));
        assert_eq!(names(dir.path()).unwrap(), ["target", "x.service"], "no temporary file is left");
    }

    #[test]
    fn whatever_is_there_is_looked_at_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let found = |name: &str| look(&path(name)).unwrap();
        assert_eq!(found("none"), None);
        fs::write(path("latin"), b"# gr\xfcn\n").unwrap();
        assert_eq!(found("latin").unwrap().text, "# gr\u{fffd}n\n");
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), 0o600.into()).unwrap();
        assert_eq!(found("fifo"), Some(Found { text: String::new(), link: None }));
        for (name, target) in [("null", "/dev/null"), ("nowhere", "/nonexistent/x"), ("loop", "loop"), ("pipe", "fifo")]
        {
            std::os::unix::fs::symlink(target, path(name)).unwrap();
            assert_eq!(found(name), Some(Found { text: String::new(), link: Some(target.into()) }));
        }
        fs::File::create(path("large")).unwrap().set_len(MAX_COMPARED + 1).unwrap();
        assert_eq!(found("large").unwrap().text, "");
    }

    #[test]
    fn what_a_killed_write_left_is_swept_and_what_a_living_one_writes_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // No process has the number 0.
        let (dead, living) = (".cicdctl-0-abc".to_owned(), format!(".cicdctl-{}-abc", std::process::id()));
        for name in [&dead, &living, ".cicdctl-Ab12cd", ".cicdctlrc"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        remove_abandoned(dir.path()).unwrap();
        assert_eq!(names(dir.path()).unwrap(), [living.as_str(), ".cicdctlrc"]);
        remove_temporary(dir.path()).unwrap();
        assert_eq!(names(dir.path()).unwrap(), [".cicdctlrc"]);
    }

    #[test]
    fn directories_of_others_are_told_however_they_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let uid = rustix::process::getuid().as_raw();
        check_owner(&dir.path().join("a/b/c"), uid).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let error = check_owner(&dir.path().join("link/systemd"), 4_294_967_000).unwrap_err().to_string();
        assert!(error.contains("belongs to another user (uid 0)"), "{error}");
        std::os::unix::fs::symlink("/nonexistent/x", dir.path().join("nowhere")).unwrap();
        let error = check_owner(&dir.path().join("nowhere/a"), uid).unwrap_err().to_string();
        assert!(error.contains("is a symlink that leads nowhere"), "{error}");
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
