//! Runs one program and answers for all that it starts: its own process group, an environment of what is passed and
//! nothing else, deadlines, and an end that says what happened. Knows nothing of engines.
//!
//! The leader of the group is watched by a pidfd and reaped last. Until then its process id, which is the group's, cannot
//! be given to anyone else, so a signal to the group never strikes a stranger.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Deadlines;

/// Between TERM and KILL.
const KILL_AFTER: Duration = Duration::from_secs(5);
/// For what is left in the pipes once the group is dead; only a process that left the group can use it up.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much of standard error is kept.
const STDERR_KEPT: usize = 64 * 1024;
/// More than this on standard output is no answer.
pub const OUTPUT_CAP: usize = 256 * 1024 * 1024;

pub struct Program {
    pub path: PathBuf,
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: Vec<(OsString, OsString)>,
    pub cwd: PathBuf,
    pub stdin: Vec<u8>,
    pub deadlines: Deadlines,
    pub output_cap: usize,
}

/// How a program ended, and its last words.
#[derive(Debug)]
pub struct Ended {
    pub end: End,
    /// The last 64 KiB of standard error.
    pub stderr: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exited(i32),
    /// By a signal that was not ours.
    Signalled(i32),
    /// It was ended because a deadline passed.
    Overdue(Deadline, Duration),
    /// It was ended because the reader of its lines asked for that.
    Stopped,
    /// It was ended because it wrote more than `output_cap`.
    TooMuchOutput(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    FirstByte,
    Idle,
    Total,
}

/// What the program did, to follow its name: "`x` ended with exit status 1".
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            End::Exited(code) => write!(f, "ended with exit status {code}"),
            End::Signalled(number) if number == nix::sys::signal::Signal::SIGXFSZ as i32 => {
                write!(f, "was killed by SIGXFSZ: it wrote a file larger than `[job] disk` allows")
            }
            End::Signalled(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "was killed by {signal}"),
                Err(_) => write!(f, "was killed by signal {number}"),
            },
            End::Overdue(Deadline::FirstByte, limit) => {
                write!(f, "wrote nothing in the first {limit:?} and was ended")
            }
            End::Overdue(Deadline::Idle, limit) => {
                write!(f, "wrote nothing more for {limit:?} and was ended")
            }
            End::Overdue(Deadline::Total, limit) => {
                write!(f, "was not done after {limit:?} and was ended")
            }
            End::Stopped => f.write_str("was stopped"),
            End::TooMuchOutput(cap) => write!(f, "wrote more than {cap} bytes and was ended"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("could not start `{}` in `{}`: {source}", program.display(), cwd.display())]
pub struct StartError {
    program: PathBuf,
    cwd: PathBuf,
    source: io::Error,
}

/// Runs `program` to its end; each line of its standard output goes to `on_line` without its newline, the last one also
/// where the newline is missing. `on_line` ends the program by `Break`. Dropping the future kills the whole group.
pub async fn run(program: Program, on_line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<Ended, StartError> {
    let (mut group, pipes) = Group::start(&program).map_err(|source| StartError {
        program: program.path.clone(),
        cwd: program.cwd.clone(),
        source,
    })?;
    let mut tail = Tail::default();
    let end = {
        let mut feed = pin!(feed(pipes.stdin, program.stdin));
        let mut drain = pin!(drain(pipes.stderr, &mut tail));
        let mut watch = pin!(watch(&mut group, pipes.stdout, on_line, program.deadlines, program.output_cap));
        let (mut fed, mut drained) = (false, false);
        let end = loop {
            tokio::select! {
                end = &mut watch => break end,
                () = &mut feed, if !fed => fed = true,
                () = &mut drain, if !drained => drained = true,
            }
        };
        if !drained {
            // What remains is in the pipe already; who holds it open beyond that is not waited for.
            let _ = timeout(LAST_WORDS, drain).await;
        }
        end
    };
    Ok(Ended { end, stderr: tail.into_text() })
}

/// Reads lines until the leader ends or has to be ended, and leaves no process of the group behind.
async fn watch(
    group: &mut Group,
    mut stdout: ChildStdout,
    on_line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    deadlines: Deadlines,
    cap: usize,
) -> End {
    let started = Instant::now();
    let mut last_output = None;
    let mut lines = Lines::default();
    let mut open = true;
    let ended_by_us = loop {
        let (at, overdue) = next_deadline(deadlines, started, last_output);
        tokio::select! {
            read = lines.read(&mut stdout), if open => {
                last_output = Some(Instant::now());
                open = read;
                if lines.hand_out(open, on_line).is_break() {
                    break Some(End::Stopped);
                }
                if lines.total > cap {
                    break Some(End::TooMuchOutput(cap));
                }
            }
            () = group.leader_ended() => break None,
            () = sleep_until(at) => break Some(overdue),
        }
    };

    if let Some(end) = ended_by_us {
        group.signal(Signal::TERM);
        group.leader_ended_within(KILL_AFTER, open.then_some(&mut stdout)).await;
        group.signal(Signal::KILL);
        // A process in the middle of a system call that cannot be interrupted may outlive this.
        group.leader_ended_within(KILL_AFTER, None).await;
        group.reap();
        return end;
    }

    group.signal(Signal::KILL);
    let rest = async {
        while open {
            open = lines.read(&mut stdout).await;
            if lines.hand_out(open, on_line).is_break() {
                return Some(End::Stopped);
            }
            if lines.total > cap {
                return Some(End::TooMuchOutput(cap));
            }
        }
        None
    };
    let rest = match timeout(LAST_WORDS, rest).await {
        Ok(end) => end,
        Err(_) => lines.hand_out(false, on_line).is_break().then_some(End::Stopped),
    };
    let end = group.reap();
    rest.unwrap_or(end)
}

/// The deadline that comes first, and what its passing is called.
fn next_deadline(deadlines: Deadlines, started: Instant, last_output: Option<Instant>) -> (Instant, End) {
    let Deadlines { first_byte, idle, total } = deadlines;
    let silence = match last_output {
        None => (started + first_byte, End::Overdue(Deadline::FirstByte, first_byte)),
        Some(last) => (last + idle, End::Overdue(Deadline::Idle, idle)),
    };
    let whole = (started + total, End::Overdue(Deadline::Total, total));
    if silence.0 < whole.0 { silence } else { whole }
}

struct Pipes {
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// A process group whose leader is our child.
struct Group {
    leader: Child,
    id: Pid,
    pidfd: AsyncFd<OwnedFd>,
    reaped: bool,
}

impl Group {
    fn start(program: &Program) -> io::Result<(Self, Pipes)> {
        let mut leader = Command::new(&program.path)
            .args(&program.args)
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&program.cwd)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        match Self::pipes_and_pidfd(&mut leader) {
            Ok((id, pidfd, pipes)) => Ok((Group { leader, id, pidfd, reaped: false }, pipes)),
            Err(error) => {
                // Started, but out of our control.
                let _ = leader.kill();
                let _ = leader.wait();
                Err(error)
            }
        }
    }

    fn pipes_and_pidfd(leader: &mut Child) -> io::Result<(Pid, AsyncFd<OwnedFd>, Pipes)> {
        let id = Pid::from_child(leader);
        #[expect(
            deprecated,
            reason = "unsound only for types that may give another descriptor later; what replaces it is unsafe"
        )]
        let pidfd = AsyncFd::new(pidfd_open(id, PidfdFlags::empty())?)?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (leader.stdin.take(), leader.stdout.take(), leader.stderr.take())
        else {
            return Err(io::Error::other("a pipe is missing"));
        };
        let pipes = Pipes {
            stdin: ChildStdin::from_std(stdin)?,
            stdout: ChildStdout::from_std(stdout)?,
            stderr: ChildStderr::from_std(stderr)?,
        };
        Ok((id, pidfd, pipes))
    }

    /// Signals every process of the group; that there is none left is fine.
    fn signal(&self, signal: Signal) {
        if !self.reaped {
            let _ = kill_process_group(self.id, signal);
        }
    }

    /// Completes when the leader has ended; it stays a zombie until `reap`.
    async fn leader_ended(&self) {
        // An error means that the runtime is being shut down; then the future is dropped anyway.
        let _ = self.pidfd.readable().await;
    }

    /// Waits for the leader and meanwhile throws away what it writes, lest it hang on a full pipe.
    async fn leader_ended_within(&self, limit: Duration, stdout: Option<&mut ChildStdout>) {
        let discard = async {
            if let Some(stdout) = stdout {
                let mut sink = [0; 8192];
                while matches!(stdout.read(&mut sink).await, Ok(1..)) {}
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.leader_ended() => {}
            () = discard => {}
            () = sleep(limit) => {}
        }
    }

    /// Takes the exit status of a leader that has ended.
    fn reap(&mut self) -> End {
        match self.leader.try_wait() {
            Ok(Some(status)) => {
                self.reaped = true;
                match (status.code(), status.signal()) {
                    (Some(code), _) => End::Exited(code),
                    (None, Some(signal)) => End::Signalled(signal),
                    (None, None) => End::Signalled(0),
                }
            }
            // Not to be had: killed and still not gone.
            _ => End::Signalled(Signal::KILL.as_raw()),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            // Without waiting: should it not be gone yet, our own end clears it away.
            let _ = self.leader.try_wait();
        }
    }
}

/// Writes all of `bytes`, then closes; a reader that does not want them is no error here.
async fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) {
    let _ = stdin.write_all(&bytes).await;
}

async fn drain(mut stderr: ChildStderr, tail: &mut Tail) {
    let mut piece = [0; 8192];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        tail.push(&piece[..length]);
    }
}

/// The last bytes of something.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
        // Cut now and then, not for each piece.
        if self.0.len() > 2 * STDERR_KEPT {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let excess = self.0.len().saturating_sub(STDERR_KEPT);
        self.0.drain(..excess);
    }

    fn into_text(mut self) -> String {
        self.cut();
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Cuts a stream of bytes into lines of any length.
#[derive(Default)]
struct Lines {
    /// What has not been handed out.
    rest: BytesMut,
    /// How much of `rest` is known to hold no newline.
    searched: usize,
    total: usize,
}

impl Lines {
    /// Reads once; false at the end.
    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> bool {
        self.rest.reserve(64 * 1024);
        match from.read_buf(&mut self.rest).await {
            Ok(length @ 1..) => {
                self.total += length;
                true
            }
            _ => false,
        }
    }

    /// Hands out whole lines and, when the stream is at its end, the piece after the last newline.
    fn hand_out(&mut self, open: bool, on_line: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> ControlFlow<()> {
        while let Some(length) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest.split_to(self.searched + length + 1);
            self.searched = 0;
            on_line(&line[..line.len() - 1])?;
        }
        self.searched = self.rest.len();
        if !open && !self.rest.is_empty() {
            self.searched = 0;
            on_line(&self.rest.split())?;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deadlines(first_byte: u64, idle: u64, total: u64) -> Deadlines {
        Deadlines {
            first_byte: Duration::from_millis(first_byte),
            idle: Duration::from_millis(idle),
            total: Duration::from_millis(total),
        }
    }

    fn sh(script: &str) -> Program {
        Program {
            path: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: "/".into(),
            stdin: Vec::new(),
            deadlines: deadlines(30_000, 30_000, 30_000),
            output_cap: OUTPUT_CAP,
        }
    }

    async fn collect(program: Program) -> (Ended, Vec<String>) {
        let mut lines = Vec::new();
        let ended = run(program, &mut |line| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
        (ended, lines)
    }

    /// Gone, or dead and waiting for its parent.
    async fn dies(pid: &str) -> bool {
        for _ in 0..100 {
            match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => return true,
                Ok(stat) if stat.rsplit(')').next().unwrap().trim_start().starts_with('Z') => return true,
                Ok(_) => sleep(Duration::from_millis(20)).await,
            }
        }
        false
    }

    #[tokio::test]
    async fn hands_out_lines_and_the_exit_status() {
        let (ended, lines) = collect(sh("echo one; echo; printf 'no newline'; echo why >&2; exit 3")).await;
        assert_eq!(ended.end, End::Exited(3));
        assert_eq!(lines, ["one", "", "no newline"]);
        assert_eq!(ended.stderr, "why\n");
    }

    #[tokio::test]
    async fn passes_the_given_environment_and_nothing_else() {
        let mut program = sh("");
        program.path = "/usr/bin/env".into();
        program.args = Vec::new();
        program.env = vec![("ONLY".into(), "this".into())];
        let (_, lines) = collect(program).await;
        assert_eq!(lines, ["ONLY=this"]);
    }

    #[tokio::test]
    async fn feeds_standard_input_while_it_reads_the_output() {
        let mut program = sh("cat; echo; cat >&2 /dev/null; echo end");
        program.stdin = vec![b'x'; 4 * 1024 * 1024];
        let (ended, lines) = collect(program).await;
        assert_eq!(ended.end, End::Exited(0));
        assert_eq!(lines[0].len(), 4 * 1024 * 1024);
        assert_eq!(lines[1], "end");
    }

    #[tokio::test]
    async fn input_that_nobody_reads_is_no_error() {
        let mut program = sh("exec <&-; echo done");
        program.stdin = vec![b'x'; 1024 * 1024];
        let (ended, lines) = collect(program).await;
        assert_eq!((ended.end, lines), (End::Exited(0), vec!["done".to_owned()]));
    }

    #[tokio::test]
    async fn keeps_the_end_of_a_flood_on_standard_error() {
        let (ended, _) = collect(sh("head -c 3000000 /dev/zero | tr '\\0' e >&2; echo LAST >&2")).await;
        assert_eq!(ended.stderr.len(), STDERR_KEPT);
        assert!(ended.stderr.ends_with("eeLAST\n"));
    }

    #[tokio::test]
    async fn a_signal_is_told_from_an_exit_status() {
        let (ended, _) = collect(sh("kill -9 $$")).await;
        assert_eq!(ended.end, End::Signalled(9));
        assert_eq!(ended.end.to_string(), "was killed by SIGKILL");
    }

    #[tokio::test]
    async fn each_deadline_ends_it() {
        let cases = [
            ("sleep 60", deadlines(200, 9_000, 9_000), Deadline::FirstByte),
            ("echo hello; sleep 60", deadlines(9_000, 200, 9_000), Deadline::Idle),
            ("while :; do echo tick; sleep 0.05; done", deadlines(9_000, 9_000, 300), Deadline::Total),
            ("exec >&-; sleep 60", deadlines(9_000, 200, 9_000), Deadline::Idle),
        ];
        for (script, deadlines, expected) in cases {
            let mut program = sh(script);
            program.deadlines = deadlines;
            let before = Instant::now();
            let (ended, _) = collect(program).await;
            assert!(matches!(ended.end, End::Overdue(which, _) if which == expected), "{script}: {ended:?}");
            assert!(before.elapsed() < Duration::from_secs(4), "{script}: TERM was enough");
        }
    }

    #[tokio::test]
    async fn who_ignores_term_is_killed() {
        let mut program = sh("trap '' TERM; echo $$; while :; do sleep 1; done");
        program.deadlines = deadlines(9_000, 200, 9_000);
        let before = Instant::now();
        let (ended, lines) = collect(program).await;
        assert!(matches!(ended.end, End::Overdue(Deadline::Idle, _)));
        assert!(before.elapsed() >= KILL_AFTER);
        assert!(before.elapsed() < KILL_AFTER + Duration::from_secs(3));
        assert!(dies(&lines[0]).await);
    }

    #[tokio::test]
    async fn children_do_not_outlive_the_leader() {
        // The children hold both pipes open.
        let (ended, lines) = collect(sh("for i in 1 2 3; do sleep 600 & echo $!; done; exit 0")).await;
        assert_eq!(ended.end, End::Exited(0));
        assert_eq!(lines.len(), 3);
        for pid in &lines {
            assert!(dies(pid).await, "{pid} still runs");
        }
    }

    #[tokio::test]
    async fn a_child_that_left_the_group_does_not_hold_us() {
        let before = Instant::now();
        let (ended, lines) = collect(sh("setsid sleep 7 & echo started")).await;
        assert_eq!((ended.end, lines), (End::Exited(0), vec!["started".to_owned()]));
        assert!(before.elapsed() < Duration::from_secs(6));
    }

    #[tokio::test]
    async fn dropping_the_future_kills_the_group() {
        let mut lines = Vec::new();
        let mut on_line = |line: &[u8]| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            ControlFlow::Continue(())
        };
        let running = run(sh("trap '' TERM; sleep 600 & echo $!; echo $$; wait"), &mut on_line);
        assert!(timeout(Duration::from_millis(500), running).await.is_err());
        assert_eq!(lines.len(), 2);
        for pid in &lines {
            assert!(dies(pid).await, "{pid} still runs");
        }
    }

    #[tokio::test]
    async fn a_flood_of_output_is_ended() {
        let mut program = sh("yes");
        program.output_cap = 1024 * 1024;
        let (ended, _) = collect(program).await;
        assert_eq!(ended.end, End::TooMuchOutput(1024 * 1024));

        // The same without a newline, and from a leader that has ended.
        let mut program = sh("head -c 60000 /dev/zero");
        program.output_cap = 10_000;
        let (ended, _) = collect(program).await;
        assert_eq!(ended.end, End::TooMuchOutput(10_000));
    }

    #[tokio::test]
    async fn the_reader_may_stop_it() {
        let mut seen = 0;
        let ended = run(sh("while :; do echo tick; done"), &mut |_| {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await
        .unwrap();
        assert_eq!((ended.end, seen), (End::Stopped, 3));
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let mut program = sh("");
        program.path = "/nonexistent/engine".into();
        let error = run(program, &mut |_| ControlFlow::Continue(())).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not start `/nonexistent/engine` in `/`: No such file or directory (os error 2)"
        );
    }
}
