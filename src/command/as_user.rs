//! `cicdctl --user NAME`: root acts for another user. What needs root (lingering, so that the user's manager runs at
//! all) is done first; the rest runs as that user, so that no file is ever root's.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cli::Command;
use crate::error::{Exit, Fail};
use crate::systemd::{self, Linger};

/// Tells the process that acts as the user that lingering was turned on for it.
pub const LINGER_SET: &str = "CICDCTL_LINGER_WAS_SET";

/// Runs this very command line as `name`; `None` where that is who we are.
pub async fn switch(name: &str, command: &Command) -> Result<Option<Exit>> {
    let user =
        nix::unistd::User::from_name(name)?.with_context(|| Fail::usage(format!("there is no user `{name}`")))?;
    if user.uid == nix::unistd::getuid() {
        return Ok(None);
    }
    if !nix::unistd::getuid().is_root() {
        bail!(
            Fail::usage("only root can act for another user")
                .hint(format!("log in as `{name}`, or use `sudo cicdctl --user {name} …`"))
        );
    }
    if user.uid.is_root() {
        bail!(Fail::usage("root does not need a runner of its own"));
    }
    let runtime = PathBuf::from(format!("/run/user/{}", user.uid));
    let mut linger_set = false;
    if matches!(command, Command::Init(args) if !args.changing.dry_run) && systemd::linger(name) == Linger::Off {
        systemd::set_linger(user.uid.as_raw(), name, true).await?;
        linger_set = true;
        let began = Instant::now();
        while !runtime.join("systemd/private").exists() {
            if began.elapsed() > Duration::from_secs(30) {
                bail!(
                    Fail::new(format!("the manager of `{name}` did not start within 30 s"))
                        .hint(format!("`systemctl status user@{}.service` says why", user.uid))
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let program = std::env::current_exe()?;
    let mut process = Process::new("setpriv");
    process
        .arg(format!("--reuid={}", user.uid))
        .arg(format!("--regid={}", user.gid))
        .args(["--init-groups", "--reset-env", "--"])
        .arg("env")
        .arg(format!("XDG_RUNTIME_DIR={}", runtime.display()));
    for variable in ["NO_COLOR", "TERM", "LANG"] {
        if let Ok(value) = std::env::var(variable) {
            process.arg(format!("{variable}={value}"));
        }
    }
    if linger_set {
        process.arg(format!("{LINGER_SET}=1"));
    }
    process.arg(program).args(std::env::args_os().skip(1)).current_dir(&user.dir);
    let status = process.status().context("could not start `setpriv` (package util-linux)")?;
    match status.code() {
        Some(0) => Ok(Some(Exit::Done)),
        Some(2) => Ok(Some(Exit::Usage)),
        Some(3) => Ok(Some(Exit::Findings)),
        Some(4) => Ok(Some(Exit::NotReviewed)),
        Some(_) => Ok(Some(Exit::Failed)),
        None => bail!("it was killed by signal {}", status.signal().unwrap_or(0)),
    }
}
