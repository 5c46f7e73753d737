//! Where things are on a host that an administrator has set up for all its users (`cicdctl init --system`; design 4,
//! and the tree of the deployment guide).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::unit::{RUNNER_SERVICE, plan};

/// Skills, programs and defaults of the host.
pub const OPT: &str = "/opt/cicd-toolkit";
/// What the administrator decides.
pub const ETC: &str = "/etc/cicd-toolkit";
/// What runners and agents keep, a directory for each user.
pub const VAR: &str = "/var/lib/cicd-toolkit";
/// Units of every user's manager (systemd.unit(5), "Unit File Load Path").
pub const UNIT_DIR: &str = "/etc/systemd/user";

/// The user's own directory there.
pub fn directory_of(uid: u32) -> PathBuf {
    Path::new(VAR).join("users").join(uid.to_string())
}

/// Where the user's runner keeps its state, if the administrator has given it a place.
pub fn state_dir(uid: u32) -> Option<PathBuf> {
    let dir = directory_of(uid);
    let is_ours = dir.symlink_metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == uid);
    is_ours.then(|| dir.join("sessions"))
}

/// Whether units are there for all users.
pub fn is_set_up() -> bool {
    let unit = Path::new(UNIT_DIR).join(RUNNER_SERVICE);
    std::fs::read_to_string(unit).is_ok_and(|text| plan::authorship(&text) != plan::Authorship::Foreign)
}

/// The administrator's configuration, the weaker first.
pub fn config_files() -> [PathBuf; 2] {
    [Path::new(OPT).join("configs/config.toml"), Path::new(ETC).join("config.toml")]
}

pub fn skills_dir() -> PathBuf {
    Path::new(OPT).join("skills")
}

/// Where the program is that units of all users start, unless a package has put it where only root changes it.
pub fn program() -> PathBuf {
    Path::new(OPT).join("bin/cicdctl")
}

/// What a host has that is set up.
pub fn directories() -> Vec<PathBuf> {
    let opt = ["bin", "skills", "configs"].map(|name| Path::new(OPT).join(name));
    opt.into_iter().chain([ETC.into(), Path::new(VAR).join("users")]).collect()
}

/// Where a runner keeps its state that was not given a place.
pub fn usual_state_dir(home: &Path) -> PathBuf {
    home.join(".local/state/cicd-toolkit")
}
