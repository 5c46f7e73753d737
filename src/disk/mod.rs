//! Room on the disk: how much there is ([`room`], [`tight`]), what of it is ours ([`measure`]), and what can be given back
//! ([`collect`]). A full disk is a state like others: what waits for room waits, and whoever asks is told what for.

pub mod collect;
mod engine_home;
pub mod measure;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::config::Size;
use crate::host::Paths;
use crate::quantity;
use crate::store;

/// With fewer free inodes than that no review begins, where the file system counts them. A checkout takes as many as it
/// has files.
const MIN_INODES: u64 = 2000;
/// With so little nothing can be written any more that is worth it, in bytes.
const NOTHING: u64 = 256 << 10;

/// What a file system has left for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What is kept there.
    pub dir: PathBuf,
    pub free: u64,
    /// `None` where the file system has as many as it likes.
    pub inodes: Option<u64>,
}

/// Of the file system that `dir` is on, or will be on once it is made.
pub fn room(dir: &Path) -> std::io::Result<Room> {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there)?;
    Ok(Room {
        dir: dir.to_owned(),
        free: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: (stat.f_files > 0).then_some(stat.f_favail),
    })
}

/// Why nothing may begin; `None` where there is room for it.
pub fn tight(paths: &Paths, min_free: Size) -> Option<String> {
    // One whose file system cannot be asked will say so by itself.
    let rooms = [&paths.state_dir, &paths.cache_dir].into_iter().filter_map(|dir| room(dir).ok());
    rooms.into_iter().find_map(|room| room.tight(min_free))
}

impl Room {
    fn tight(&self, min_free: Size) -> Option<String> {
        // What nothing can be written to is too tight for whoever wants no bound, too.
        let min_free = min_free.max(Size(NOTHING));
        let (left, least) = if self.free < min_free.0 {
            (quantity::bytes(self.free), min_free.to_string())
        } else {
            let inodes = self.inodes.filter(|inodes| *inodes < MIN_INODES)?;
            (quantity::count(usize::try_from(inodes).unwrap_or(usize::MAX), "inode"), quantity::grouped(MIN_INODES))
        };
        Some(format!(
            "the disk is almost full: {left} free for {}, and no review begins below {least}",
            self.dir.display()
        ))
    }
}

/// What to do about it.
pub const REMEDY: &str = "what waits begins by itself once there is room; `cicdctl gc` makes some, `[disk] min_free` is \
                          the bound";

/// Whether an error is that the disk is full, as far as it can be told from the error alone.
pub fn says_full(error: &anyhow::Error) -> bool {
    store::has_code(error, &[rusqlite::ErrorCode::DiskFull])
        || error.chain().any(|cause| match cause.downcast_ref::<std::io::Error>() {
            Some(io) => matches!(io.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
            None => names_full(&cause.to_string()),
        })
}

/// The words of the C library, which git and engines print.
pub fn names_full(text: &str) -> bool {
    ["No space left on device", "Disk quota exceeded", "ENOSPC"].iter().any(|words| text.contains(words))
}

/// The same with a look at the disk: git and SQLite have words of their own for it, and sometimes none.
pub fn is_full(error: &anyhow::Error, dir: &Path) -> bool {
    says_full(error) || is_empty(dir)
}

/// Whether nothing is left for what is kept in `dir`: whatever fails there now fails for that.
pub fn is_empty(dir: &Path) -> bool {
    room(dir).is_ok_and(|room| room.free < NOTHING || room.inodes == Some(0))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn below_the_floor_nothing_begins_and_the_reason_names_both_numbers() {
        let room = |free, inodes| Room { dir: "/h/state".into(), free, inodes };
        let floor = Size(500 << 20);
        assert_eq!(room(500 << 20, None).tight(floor), None);
        assert_eq!(room(500 << 20, Some(MIN_INODES)).tight(floor), None);
        let bytes = room((500 << 20) - 1, None).tight(floor).unwrap();
        assert!(bytes.contains("524 MB free for /h/state") && bytes.contains("below 500M"), "{bytes}");
        let inodes = room(1 << 40, Some(7)).tight(floor).unwrap();
        assert!(inodes.contains("7 inodes free") && inodes.contains("below 2,000"), "{inodes}");
        assert_eq!(room(NOTHING, None).tight(Size(0)), None);
        assert!(room(4096, None).tight(Size(0)).unwrap().contains("below 256K"));
    }

    #[test]
    fn a_full_disk_is_known_by_whoever_says_it() {
        let io = anyhow::Error::from(std::io::Error::from_raw_os_error(28)).context("could not write `x`");
        let sqlite = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(13), None);
        let git = anyhow::anyhow!("git says: unable to write file: No space left on device");
        let other = Err::<(), _>(std::io::Error::from(ErrorKind::PermissionDenied)).context("x").unwrap_err();
        assert!(says_full(&io) && says_full(&sqlite.into()) && says_full(&git) && !says_full(&other));
    }
}
