//! Hands a value to the service manager that sets up a unit: `LoadCredential=NAME:SOCKET` reads it from a socket, so
//! that what is kept encrypted is on no disk in clear. (`LoadCredentialEncrypted=` cannot do this for users: up to
//! systemd 257 a user manager looks for the host's key itself, which it may not read, and the unit fails with 243.)

use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

use super::Value;
use crate::files;

/// For a peer that connects and does not read.
const DEADLINE: Duration = Duration::from_secs(10);

/// A socket with a value behind it, there until this is dropped.
pub struct Handover {
    path: PathBuf,
    listener: UnixListener,
}

impl Handover {
    /// Listens at `path`, whose directory is the user's alone.
    pub fn new(path: &Path) -> Result<Handover> {
        let bind = || -> Result<Handover> {
            files::remove(path)?;
            let (dir, name) = (path.parent().context("no directory")?, path.file_name().context("no name")?);
            // An address of a socket is short, and this path need not be.
            let dir = std::fs::File::open(dir)?;
            let listener = UnixListener::bind(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))?;
            Ok(Handover { path: path.to_owned(), listener })
        };
        bind().with_context(|| format!("could not listen at `{}`", path.display()))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the value to the one who sets up `unit`, as often as it is asked for. Never ends.
    pub async fn serve(&self, unit: &str, value: &Value) -> Infallible {
        loop {
            match self.listener.accept().await {
                // The manager's own end has a name that says for whom it asks (systemd.exec(5)).
                Ok((mut stream, _)) => {
                    let is_ours = stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::getuid().as_raw());
                    if !is_ours || unit_of(&stream).as_deref() != Some(unit) {
                        tracing::warn!(
                            "somebody other than the manager asks for the secret of {unit}, and gets nothing"
                        );
                        continue;
                    }
                    let give = async {
                        stream.write_all(value.reveal().as_bytes()).await?;
                        stream.shutdown().await
                    };
                    match tokio::time::timeout(DEADLINE, give).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!("could not hand over the secret of {unit}: {error}"),
                        Err(_) => tracing::debug!("nobody reads the secret of {unit}"),
                    }
                }
                Err(error) => {
                    tracing::debug!("could not hand over the secret of {unit}: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        let _ = files::remove(&self.path);
    }
}

/// The unit that the other end was bound for. (The address that tokio's `accept` hands back has no abstract name.)
fn unit_of(stream: &UnixStream) -> Option<String> {
    let peer = rustix::net::getpeername(stream).ok()??;
    let peer = rustix::net::SocketAddrUnix::try_from(peer).ok()?;
    unit_in(peer.abstract_name()?).map(str::to_owned)
}

/// The unit in `RANDOM/unit/UNIT/CREDENTIAL`.
fn unit_in(name: &[u8]) -> Option<&str> {
    let mut parts = std::str::from_utf8(name).ok()?.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some("unit"), Some(unit), Some(_), None) => Some(unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream as Blocking};

    #[test]
    fn the_name_of_the_asking_end_says_the_unit() {
        assert_eq!(unit_in(b"ee5fb024/unit/cicd-job-1.service/anthropic-api-key"), Some("cicd-job-1.service"));
        for name in [&b""[..], b"x", b"a/unit/b", b"a/unix/b/c", b"a/unit/b/c/d", b"a/unit/\xff/c"] {
            assert_eq!(unit_in(name), None);
        }
    }

    #[tokio::test]
    async fn only_the_manager_is_given_the_value_and_the_path_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let path = deep.join("key");
        let handover = Handover::new(&path).unwrap();
        let link = dir.path().join("k");
        std::os::unix::fs::symlink(&deep, &link).unwrap();
        let ask = |unit: &'static str| {
            let to = link.join("key");
            tokio::task::spawn_blocking(move || {
                let own = SocketAddr::from_abstract_name(format!("{}/unit/{unit}/x", ulid::Ulid::generate())).unwrap();
                let socket = connect_from(&own, &to);
                let mut text = String::new();
                let _ = socket.take(100).read_to_string(&mut text);
                text
            })
        };
        let value = Value::new("c4n4ry");
        let asked = async { (ask("cicd-job-1.service").await.unwrap(), ask("other.service").await.unwrap()) };
        let given = tokio::select! {
            given = asked => given,
            never = handover.serve("cicd-job-1.service", &value) => match never {},
        };
        assert_eq!((given.0.as_str(), given.1.as_str()), ("c4n4ry", ""));
        drop(handover);
        assert!(!path.exists());
    }

    /// A stream whose own end is bound, which std does not offer.
    fn connect_from(own: &SocketAddr, to: &Path) -> Blocking {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
        let socket = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddrUnix::new_abstract_name(own.as_abstract_name().unwrap()).unwrap()).unwrap();
        connect(&socket, &SocketAddrUnix::new(to).unwrap()).unwrap();
        Blocking::from(socket)
    }
}
