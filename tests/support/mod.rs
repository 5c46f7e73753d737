//! A runner in this process, on a socket in a temporary directory, and a working copy to review.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::HashMap;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use cicdctl::api::client::Client;
use cicdctl::cage::Cage;
use cicdctl::host::{Host, Paths};
use cicdctl::runner::{self, Listening, Scope, Shared};
use cicdctl::store::Store;
use cicdctl::ui::{ColorChoice, Options, Ui};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A directory for one test, with a home in it.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Place {
        Place::of(tempfile::tempdir().unwrap())
    }

    /// Where nobody waits for a disk, as far as there is such a place.
    pub fn in_memory() -> Place {
        Place::of(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn of(dir: TempDir) -> Place {
        let place = Place { dir };
        for name in ["config/agents", "state", "cache", "runtime"] {
            std::fs::create_dir_all(place.path(name)).unwrap();
        }
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub fn config(&self, text: &str) -> &Place {
        std::fs::write(self.path("config/config.toml"), text).unwrap();
        self
    }

    pub fn agent(&self, name: &str, text: &str) -> &Place {
        std::fs::write(self.path(&format!("config/agents/{name}.toml")), text).unwrap();
        self
    }

    /// A working copy with two commits; the second brings a fault that the rules find.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        std::fs::create_dir_all(&dir).unwrap();
        git(&dir, &["init", "-q", "-b", "main"]);
        commit(&dir, "README", "hello\n");
        commit(&dir, "app.py", FAULT);
        dir
    }

    pub fn host(&self) -> Host {
        let options = Options {
            json: false,
            quiet: true,
            verbose: false,
            yes: false,
            color: ColorChoice::Never,
            no_color_variable: true,
            utf8: true,
        };
        let mut host = Host::new(Ui::new(&options), HashMap::new(), None).unwrap();
        host.paths = Paths {
            home: self.path(""),
            config_dir: self.path("config"),
            config_home: self.path("config"),
            state_dir: self.path("state"),
            cache_dir: self.path("cache"),
            runtime_dir: self.path("runtime"),
        };
        host.program = PathBuf::from(env!("CARGO_BIN_EXE_cicdctl"));
        host
    }

    pub fn store(&self) -> Store {
        Store::open(&self.path("state/store.db")).unwrap()
    }

    pub fn runner(&self) -> Runner {
        self.start(Scope::Runner, |_| {})
    }

    pub fn start(&self, scope: Scope, change: impl FnOnce(&mut Host)) -> Runner {
        let mut host = self.host();
        change(&mut host);
        let socket = match scope.agent() {
            None => host.paths.runner_socket(),
            Some(name) => host.paths.agent_socket(name),
        };
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let cage = Cage::Child { because: "this is a test".into() };
        let shared = Shared::new(host, scope, self.store(), cage);
        let (stop, told) = oneshot::channel::<Duration>();
        let serving = shared.clone();
        let served = tokio::spawn(async move {
            // The stop timeout is fixed before the stop: tests that need another say so by STOP_TIMEOUT.
            runner::serve(serving, Listening::Systemd(listener), STOP_TIMEOUT, async {
                let _ = told.await;
                Ok("the test has ended")
            })
            .await
        });
        Runner { socket, shared, stop: Some(stop), served }
    }
}

const STOP_TIMEOUT: Duration = Duration::from_millis(300);

pub const FAULT: &str = "import requests\nr = requests.get(url, verify=False)\n";

pub fn git(dir: &Path, args: &[&str]) {
    let status = Command::new("git")
        .current_dir(dir)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
        .args(args)
        .status()
        .unwrap();
    assert!(status.success(), "git {args:?}");
}

pub fn commit(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
    git(dir, &["add", "-A"]);
    git(dir, &["commit", "-q", "-m", name]);
}

pub struct Runner {
    pub socket: PathBuf,
    pub shared: Arc<Shared>,
    stop: Option<oneshot::Sender<Duration>>,
    served: JoinHandle<anyhow::Result<&'static str>>,
}

impl Runner {
    pub fn client(&self) -> Client {
        Client::new(self.socket.clone())
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.served).await.unwrap().unwrap();
    }

    /// Sends bytes as they are, then reads until the other side closes.
    pub async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut read, mut write) = stream.into_split();
        let mut answer = Vec::new();
        let send = async {
            // Who is refused early need not be read to the end.
            let _ = write.write_all(bytes).await;
        };
        let receive = async {
            let _ = read.read_to_end(&mut answer).await;
        };
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(send, receive) }).await.expect("no answer");
        answer
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{length}\r\n");
        Answer::read(&self.raw(&[head.as_bytes(), body.as_bytes()].concat()).await)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    pub async fn post(&self, body: &Value) -> Answer {
        self.ask("POST", "/review", "Content-Type: application/json\r\n", &body.to_string()).await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn read(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> =
            lines.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_lowercase(), v.to_owned())).collect();
        let body = if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Answer { status, headers, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The detail of a problem, having checked that it is one.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn unchunked(mut text: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        text = &rest[size + 2..];
    }
    whole
}
