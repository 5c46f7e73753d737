//! `cicdctl --user NAME`: root acts for another user. What needs root (lingering, so that the user's manager runs at
//! all) is done first; the rest runs as that user, so that no file is ever root's.

use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::unistd::User;

use crate::cli::Command;
use crate::error::{Exit, Fail};
use crate::files;
use crate::systemd::{self, Linger, Manager};

/// Tells the process that acts as the user that lingering was turned on for it.
pub const LINGER_SET: &str = "CICDCTL_LINGER_WAS_SET";

/// Where root notes that it turned lingering on for a user, before it does.
fn linger_note(uid: u32) -> PathBuf {
    PathBuf::from(format!("/run/cicdctl-linger-{uid}"))
}

fn is_dry_run(command: &Command) -> bool {
    match command {
        Command::Init(args) => args.changing.dry_run,
        Command::Uninstall(args) => args.changing.dry_run,
        _ => false,
    }
}

/// This very command line as that user, without root's terminal: whoever may trace a process could read what is typed
/// there, and on old kernels type there, too.
fn start(user: &User, environment: &[String], dir: &Path) -> Result<ExitStatus> {
    let is_terminal =
        [std::io::stdin().is_terminal(), std::io::stdout().is_terminal(), std::io::stderr().is_terminal()];
    let mut process;
    if is_terminal == [true; 3] {
        // One of its own, which hands on what is typed as long as it runs (runuser(1)).
        process = Process::new("/usr/sbin/runuser");
        process.args(["--pty", "-u", &user.name, "--", "/usr/bin/env", "-i"]);
        let home = format!("HOME={}", user.dir.display());
        process.args([home, format!("USER={}", user.name), format!("LOGNAME={}", user.name)]);
        process.args([format!("SHELL={}", user.shell.display()), format!("PATH={PATH}")]);
    } else {
        process = Process::new("/usr/bin/setpriv");
        process.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
        process.args(["--init-groups", "--reset-env", "--", "/usr/bin/env"]);
        let instead = |instead: Stdio, index: usize| if is_terminal[index] { instead } else { Stdio::inherit() };
        process.stdin(instead(Stdio::null(), 0)).stdout(instead(Stdio::piped(), 1)).stderr(instead(Stdio::piped(), 2));
    }
    process.args(environment).arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).current_dir(dir);
    let program = process.get_program().to_owned();
    let mut child = process
        .spawn()
        .with_context(|| format!("could not start `{}` (package util-linux)", program.to_string_lossy()))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|mut pipe| std::io::copy(&mut pipe, &mut std::io::stdout())));
        scope.spawn(|| stderr.map(|mut pipe| std::io::copy(&mut pipe, &mut std::io::stderr())));
    });
    Ok(child.wait()?)
}

/// As `setpriv --reset-env` has it for users other than root.
const PATH: &str = "/usr/local/bin:/bin:/usr/bin";

/// Runs this very command line as `name`; `None` where that is who we are.
pub async fn switch(name: &str, command: &Command) -> Result<Option<Exit>> {
    let user = User::from_name(name)?.with_context(|| Fail::usage(format!("there is no user `{name}`")))?;
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
    let note = linger_note(user.uid.as_raw());
    // Of an `init` that was killed before the user's own record said so.
    let mut linger_set = note.exists();
    if matches!(command, Command::Init(args) if !args.changing.dry_run) && systemd::linger(name) == Linger::Off {
        files::write(&note, b"", 0o644)?;
        linger_set = true;
        systemd::set_linger(user.uid.as_raw(), name, true).await?;
        let (began, unit) = (Instant::now(), format!("user@{}.service", user.uid));
        // One that is about to end, as the user has just logged out, still has its socket.
        let system = Manager::of_system().await?;
        while !(runtime.join("systemd/private").exists() && system.state(&unit).await?.active == "active") {
            if began.elapsed() > Duration::from_secs(30) {
                bail!(
                    Fail::new(format!("the manager of `{name}` did not start within 30 s"))
                        .hint(format!("`systemctl status {unit}` says why"))
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // What is left of a user without one is to be taken back, too.
    let home = if user.dir.is_dir() { &user.dir } else { Path::new("/") };
    let mut environment = vec![format!("XDG_RUNTIME_DIR={}", runtime.display())];
    for variable in ["NO_COLOR", "TERM", "LANG"] {
        environment.extend(std::env::var(variable).ok().map(|value| format!("{variable}={value}")));
    }
    if linger_set {
        environment.push(format!("{LINGER_SET}=1"));
    }
    let status = start(&user, &environment, home)?;
    // By now it is in that record, or taken back.
    if linger_set
        && status.success()
        && matches!(command, Command::Init(_) | Command::Uninstall(_))
        && !is_dry_run(command)
    {
        files::remove(&note)?;
    }
    match status.code() {
        Some(0) => Ok(Some(Exit::Done)),
        Some(2) => Ok(Some(Exit::Usage)),
        Some(3) => Ok(Some(Exit::Findings)),
        Some(4) => Ok(Some(Exit::NotReviewed)),
        Some(_) => Ok(Some(Exit::Failed)),
        None => bail!("it was killed by signal {}", status.signal().unwrap_or(0)),
    }
}
