//! A host for all its users, by its administrator: `init --system`, `uninstall --system` and `status --all-users`.
//! What is the users' own is done as them, by `cicdctl --user NAME`.

pub mod all_users;
pub mod set_up;
pub mod take_back;

use std::collections::BTreeSet;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command as Process;

use crate::converge;
use crate::error::Fail;
use crate::files;
use crate::host::Host;
use crate::host_wide;
use crate::install::{self, Manifest};
use crate::plain;
use crate::unit::host::User;

/// Only root, and one of us at a time.
fn lock(host: &Host, what: &str) -> Result<std::fs::File> {
    require_root(host, what)?;
    // Of a file that everybody may open, everybody may hold the lock.
    let file = Path::new("/run/cicdctl-system.lock");
    std::fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(file)?;
    converge::lock_within(file, converge::LONGEST_WAIT, |text| host.ui.say(text))
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
        let places = [host_wide::usual_state_dir(&user.home), host_wide::directory_of(user.uid).join("sessions")];
        let has_record = || places.iter().any(|dir| dir.join(install::FILE).symlink_metadata().is_ok());
        // One that was set up half-way may have no record yet.
        if user.uid != 0 && (manifest.users.contains(&user.name) || has_record()) {
            users.push(user);
        }
    }
    Ok(users)
}

/// What `cicdctl --user NAME …` says, by the program that the users' units start: the one that is running now may be
/// where nobody else can read it. In a session of its own and without root's terminal: the user may trace what runs as
/// the user, and root's keyboard is none of theirs. Neither its patience nor its memory is without an end.
async fn as_user(program: &Path, user: &str, arguments: &[&str], patience: Duration) -> Result<Output> {
    let mut process = Process::new("/usr/bin/setsid");
    process.arg("--wait").arg(program).args(["--user", user]).args(arguments).kill_on_drop(true);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().with_context(|| format!("could not start `{}`", program.display()))?;
    let said = async {
        let (stdout, stderr) = tokio::join!(all_of(child.stdout.take()), all_of(child.stderr.take()));
        anyhow::Ok(Output { stdout: stdout?, stderr: stderr?, status: child.wait().await? })
    };
    let said = tokio::time::timeout(patience, said).await;
    said.with_context(|| format!("it did not answer within {} s", patience.as_secs()))?
}

async fn all_of(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>> {
    let mut said = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MOST + 1).read_to_end(&mut said).await?;
    }
    if said.len() as u64 > MOST {
        bail!("it said more than {} MiB", MOST >> 20);
    }
    Ok(said)
}

/// The most that a user's own command may say, in bytes: the status of a thousand agents is less.
const MOST: u64 = 16 << 20;

/// Lets a user's own command do something, shows what it says, and whether it is done.
async fn is_done_by(host: &Host, program: &Path, user: &str, arguments: &[&str]) -> Result<bool> {
    let output = match as_user(program, user, arguments, converge::LONGEST_WAIT).await {
        Ok(output) => output,
        Err(error) => {
            host.ui.warn(&format!("{user}: {error:#}"));
            return Ok(false);
        }
    };
    let said: Vec<String> = String::from_utf8_lossy(&output.stderr).lines().map(plain::visible).collect();
    match output.status.success() {
        true => said.iter().for_each(|line| host.ui.say(line)),
        false => host.ui.warn(&format!("{user}: {}", said.join("\n"))),
    }
    Ok(output.status.success())
}
