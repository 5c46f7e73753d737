//! The program as a process: in an emptied environment, with a home of its own and without a bus. What a test does not
//! state is empty, and the status 0.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod config;
mod doctor;
mod finding;
mod help;
mod job;
mod metrics;
mod pipes;
mod review;
mod secret;
mod setup;
mod skill;
mod workflow;
mod wrong;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A home, a runtime directory without a bus, and a place to stand.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        for name in ["home", "run", "repo"] {
            std::fs::DirBuilder::new().mode(0o700).create(place.path(name)).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// The path as text, as messages have it.
    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> &Place {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Makes `repo` a repository with one commit and a fault that is not committed.
    fn with_fault(self) -> Place {
        self.git(&["init", "-q", "-b", "main"]);
        self.write("repo/README", "hello\n");
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "one"]);
        self.write("repo/app.py", "import requests\nr = requests.get(url, verify=False)\n");
        self
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(self.path("repo")).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        git.env("HOME", "/nonexistent").env("GIT_CONFIG_NOSYSTEM", "1");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        assert!(git.args(args).status().unwrap().success(), "git {args:?}");
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .current_dir(self.path("repo"))
            .stdin(Stdio::null());
        command
    }

    /// Runs `cicdctl` with these words.
    fn run(&self, line: &str) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_cicdctl"));
        Ran::new(line, &command.args(line.split_whitespace()).output().unwrap())
    }

    fn run_with_input(&self, line: &str, input: &[u8]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_cicdctl"));
        command.args(line.split_whitespace());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::new(line, &child.wait_with_output().unwrap())
    }

    /// Runs it as an ordinary user: as ourselves, or as nobody where we are root. `None` where that cannot be done.
    fn run_as_user(&self, line: &str) -> Option<Ran> {
        if !nix::unistd::getuid().is_root() {
            return Some(self.run(line));
        }
        if !Path::new("/usr/bin/setpriv").exists() {
            eprintln!("skipped: no setpriv");
            return None;
        }
        let program = self.path("cicdctl");
        std::fs::copy(env!("CARGO_BIN_EXE_cicdctl"), &program).unwrap();
        std::fs::set_permissions(self.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["home", "run", "repo"] {
            std::os::unix::fs::chown(self.path(name), Some(65534), Some(65534)).unwrap();
        }
        let mut command = self.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        Some(Ran::new(line, &command.args(line.split_whitespace()).output().unwrap()))
    }
}

/// What a run left. Dropped with something in it that no test looked at, it fails.
struct Ran {
    line: String,
    status: i32,
    stdout: Option<String>,
    stderr: Option<String>,
}

impl Ran {
    fn new(line: &str, output: &Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        assert!(!stderr.contains("panicked"), "cicdctl {line}\n{stderr}");
        Ran {
            line: line.to_owned(),
            status: output.status.code().expect("killed by a signal"),
            stdout: Some(stdout).filter(|text| !text.is_empty()),
            stderr: Some(stderr).filter(|text| !text.is_empty()),
        }
    }

    #[track_caller]
    fn status(mut self, expected: i32) -> Ran {
        assert_eq!(self.status, expected, "cicdctl {}\n{:?}\n{:?}", self.line, self.stdout, self.stderr);
        self.status = 0;
        self
    }

    #[track_caller]
    fn stdout(mut self, expected: &str) -> Ran {
        assert_eq!(self.stdout.take().unwrap_or_default(), expected, "stdout of cicdctl {}", self.line);
        self
    }

    #[track_caller]
    fn stderr(mut self, expected: &str) -> Ran {
        assert_eq!(self.stderr.take().unwrap_or_default(), expected, "stderr of cicdctl {}", self.line);
        self
    }

    /// For what is too long or not the same every time.
    #[track_caller]
    fn stdout_has(mut self, parts: &[&str]) -> Ran {
        has(&self.stdout.take().unwrap_or_default(), parts, &self.line);
        self
    }

    #[track_caller]
    fn stderr_has(mut self, parts: &[&str]) -> Ran {
        has(&self.stderr.take().unwrap_or_default(), parts, &self.line);
        self
    }

    fn take_stdout(&mut self) -> String {
        self.stdout.take().unwrap_or_default()
    }

    fn take_stderr(&mut self) -> String {
        self.stderr.take().unwrap_or_default()
    }
}

#[track_caller]
fn has(text: &str, parts: &[&str], line: &str) {
    for part in parts {
        assert!(text.contains(part), "cicdctl {line}: no {part:?} in\n{text}");
    }
}

impl Drop for Ran {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let left = (self.status, self.stdout.take(), self.stderr.take());
            assert_eq!(left, (0, None, None), "cicdctl {}: nobody expected this", self.line);
        }
    }
}

const NO_RUNNER: &str = "No runner is set up (`cicdctl init`); reviewing in this process.\n";
