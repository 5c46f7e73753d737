//! Control groups as far as they are looked at here: those of version 2, also where they stand beside version 1.

use std::path::{Path, PathBuf};

const ROOTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/// What a file of a group says.
pub fn read(group: &str, file: &str) -> Option<String> {
    ROOTS.into_iter().find_map(|root| std::fs::read_to_string(format!("{root}{group}/{file}")).ok())
}

/// The group that this process is in.
pub fn own() -> Option<String> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Where a group is.
pub fn dir(group: &str) -> Option<PathBuf> {
    ROOTS.into_iter().map(|root| PathBuf::from(format!("{root}{group}"))).find(|dir| dir.join("cgroup.procs").exists())
}

/// Whether a group that was there is there no longer; false where that cannot be told.
pub fn is_gone(group: &str) -> bool {
    let top = group.split('/').find(|name| !name.is_empty()).unwrap_or_default();
    ROOTS
        .into_iter()
        .find(|root| !top.is_empty() && Path::new(root).join(top).is_dir())
        .is_some_and(|root| !Path::new(&format!("{root}{group}")).is_dir())
}
