//! A host for all its users, by its administrator: `init --system`, `uninstall --system` and `status --all-users`.
//! What is the users' own is done as them, by `cicdctl --user NAME`.

pub mod all_users;
pub mod set_up;
pub mod take_back;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus};

use anyhow::{Context, Result, bail};

use crate::converge;
use crate::error::Fail;
use crate::files;
use crate::host::Host;
use crate::host_wide;
use crate::install::{self, Manifest};
use crate::unit::host::User;

/// Only root, and one of us at a time.
fn lock(host: &Host, what: &str) -> Result<std::fs::File> {
    require_root(host, what)?;
    converge::lock_within(Path::new("/etc/systemd"), converge::LONGEST_WAIT, |text| host.ui.say(text))
}

fn require_root(host: &Host, what: &str) -> Result<()> {
    if host.uid != 0 {
        bail!(Fail::usage(format!("only root {what}")).hint("run it by `sudo`, with the same arguments"));
    }
    if !Path::new("/run/systemd/system").is_dir() {
        bail!(Fail::new("this host was not booted by systemd").hint("cicdctl needs systemd and its user managers"));
    }
    Ok(())
}

/// What was made of the host.
fn record() -> PathBuf {
    Path::new(host_wide::VAR).join(install::FILE)
}

fn user(name: &str) -> Result<Option<User>> {
    let found = nix::unistd::User::from_name(name).with_context(|| format!("could not look up the user `{name}`"))?;
    Ok(found.map(|found| User { name: found.name, uid: found.uid.as_raw(), gid: found.gid.as_raw(), home: found.dir }))
}

/// Those who have a runner: who were set up with the host, and who did it themselves.
fn users_with_a_runner(manifest: &Manifest) -> Result<Vec<User>> {
    let mut names: BTreeSet<String> = manifest.users.iter().cloned().collect();
    // Users of a directory service are not in that file, but who has a runner lingers.
    names.extend(files::names(Path::new("/var/lib/systemd/linger"))?);
    let known = files::read(Path::new("/etc/passwd"))?.unwrap_or_default();
    names.extend(known.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())));
    let mut users = Vec::new();
    for name in names {
        let Some(user) = user(&name)? else { continue };
        let places = [user.home.join(".local/state/cicd-toolkit"), host_wide::directory_of(user.uid).join("sessions")];
        if user.uid != 0 && places.iter().any(|dir| dir.join(install::FILE).symlink_metadata().is_ok()) {
            users.push(user);
        }
    }
    Ok(users)
}

/// `cicdctl --user NAME …` by the program that the users' units start: the one that is running now may be where nobody
/// else can read it.
fn as_user(program: &Path, user: &str, arguments: &[&str]) -> Process {
    let mut process = Process::new(program);
    process.args(["--user", user]).args(arguments);
    process
}

fn succeeded(status: ExitStatus, what: &str) -> Result<()> {
    if !status.success() {
        bail!(Fail::new(format!("{what} failed; what is above says why")));
    }
    Ok(())
}
