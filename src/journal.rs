//! The journal, as far as this user can read it, and a file of our own where they cannot.

use std::path::{Path, PathBuf};

use crate::files;

/// Largest size of our own log file, in bytes; one older one is kept.
const MAX_FILE: u64 = 4 << 20;

/// Groups whose members read the whole journal (systemd-journald.service(8), "Access control").
const GROUPS: [&str; 3] = ["systemd-journal", "adm", "wheel"];

/// Whether the messages of this user's services can be read by the user: the journal is split by user on disk only
/// where it is persistent.
pub fn is_readable(uid: u32) -> bool {
    uid == 0 || user_journal(uid).is_some() || reads_all()
}

/// The user's own journal file.
pub fn user_journal(uid: u32) -> Option<PathBuf> {
    let machine = std::fs::read_to_string("/etc/machine-id").ok()?;
    let machine = machine.trim();
    ["/var/log/journal", "/run/log/journal"]
        .into_iter()
        .map(|dir| Path::new(dir).join(machine).join(format!("user-{uid}.journal")))
        .find(|file| std::fs::File::open(file).is_ok())
}

fn reads_all() -> bool {
    let Ok(groups) = nix::unistd::getgroups() else { return false };
    GROUPS
        .iter()
        .any(|name| nix::unistd::Group::from_name(name).ok().flatten().is_some_and(|group| groups.contains(&group.gid)))
}

/// Opens the log file, having put a large one aside; `None` where it cannot be had.
pub fn own_file(path: &Path) -> Option<std::fs::File> {
    files::make_dir(path.parent()?, 0o700).ok()?;
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > MAX_FILE) {
        std::fs::rename(path, older(path)).ok()?;
    }
    std::fs::OpenOptions::new().create(true).append(true).open(path).ok()
}

/// Where the one that was put aside is.
pub fn older(path: &Path) -> PathBuf {
    path.with_extension("log.1")
}
