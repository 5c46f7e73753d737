//! Where connections come from: the socket that systemd passes (sd_listen_fds(3)), the socket on standard input
//! (`StandardInput=socket`), or one that is bound by hand.

use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::error::{Exit, Fail};
use crate::files;

pub enum Listening {
    Systemd(UnixListener),
    /// One connection, accepted by systemd (`Accept=yes`).
    Connection(UnixStream),
    Bound(UnixListener, PathBuf),
}

impl Listening {
    pub fn is_from_systemd(&self) -> bool {
        !matches!(self, Listening::Bound(..))
    }

    pub fn describe(&self) -> String {
        match self {
            Listening::Systemd(_) => "the socket from systemd".into(),
            Listening::Connection(_) => "one connection from systemd".into(),
            Listening::Bound(_, path) => format!("`{}`", path.display()),
        }
    }
}

pub fn listen(path: &Path, from_stdin: bool) -> Result<Listening> {
    let mut passed = listenfd::ListenFd::from_env();
    if passed.len() > 1 {
        bail!(Fail::configuration(format!("systemd passed {} sockets; this process serves one", passed.len())));
    }
    if let Some(listener) = passed.take_unix_listener(0).context("systemd passed something that is no unix socket")? {
        return Ok(Listening::Systemd(listener));
    }
    if from_stdin {
        return stdin();
    }
    bind(path)
}

fn stdin() -> Result<Listening> {
    let fd = std::io::stdin().as_fd().try_clone_to_owned()?;
    match rustix::net::sockopt::socket_acceptconn(&fd) {
        Ok(true) => Ok(Listening::Systemd(UnixListener::from(fd))),
        Ok(false) => Ok(Listening::Connection(UnixStream::from(fd))),
        Err(_) => bail!(
            Fail::configuration(
                "`--socket-activation` was given, and there is neither a socket from systemd nor one on standard input"
            )
            .hint("a socket unit starts it; `cicdctl init` writes one")
        ),
    }
}

/// Binds by hand, for units without a socket unit and for the foreground. An old socket goes only once a refused
/// connection shows that nobody listens on it.
fn bind(path: &Path) -> Result<Listening> {
    let attempt = || -> Result<UnixListener> {
        if let Some(dir) = path.parent() {
            files::make_dir(dir, 0o700)?;
        }
        if let Ok(meta) = path.symlink_metadata() {
            // Connecting to a file of another kind is refused, too.
            if !meta.file_type().is_socket() {
                bail!(Fail::new("it is there and no socket").hint("move it away, then start the runner again"));
            }
            match UnixStream::connect(path) {
                Ok(_) => bail!(Fail {
                    exit: Exit::TryLater,
                    ..Fail::new("another process listens there").hint("`cicdctl status` shows it")
                }),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => files::remove(path)?,
                Err(error) => return Err(error.into()),
            }
        }
        // In a directory of our own it cannot be reached before its mode is set; elsewhere the umask sees to it.
        let umask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(umask);
        let listener = listener?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    let listener = attempt().with_context(|| format!("could not listen on `{}`", path.display()))?;
    Ok(Listening::Bound(listener, path.to_owned()))
}
