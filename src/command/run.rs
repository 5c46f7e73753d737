//! `cicdctl run …`: what units start. Hidden; people use the other commands.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::prelude::*;

use crate::agent::AgentName;
use crate::cage;
use crate::command::upgrade::About;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::probe;
use crate::runner::{self, Scope};
use crate::secret::net::Net;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The runner of the user
    Daemon {
        /// Take the socket from systemd, or from standard input (`StandardInput=socket`)
        #[arg(long)]
        socket_activation: bool,
    },
    /// The runner of one project
    Agent {
        /// Name of the agent
        #[arg(long, value_name = "NAME")]
        session_id: AgentName,
    },
    /// Print this program's version and the schema of the store that it makes
    Schema,
    /// The engine of one job, inside its cage
    Job {
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Be the first process of a namespace of processes: start the rest, and bury what is left behind
        #[arg(long)]
        first: bool,
        /// Let nothing that is started make a namespace
        #[arg(long, requires = "first")]
        no_namespaces: bool,
    },
    /// Try what the unit that this is started in is to refuse, or to go beyond its limits; the answer is JSON
    ///
    /// What to try is read from standard input, as JSON.
    Probe {
        /// Go beyond the limits for memory, tasks and CPU
        #[arg(long, conflicts_with_all = ["first", "hog"])]
        exceed: bool,
        /// Take more and more memory, up to this many MiB
        #[arg(long, value_name = "MIB", conflicts_with = "first")]
        hog: Option<usize>,
        /// As for `job`
        #[arg(long)]
        first: bool,
        /// As for `job`
        #[arg(long, requires = "first")]
        no_namespaces: bool,
    },
}

pub async fn run(command: Command, host: Host) -> Result<Exit> {
    keep_memory_to_itself(!matches!(command, Command::Job { .. }));
    match command {
        Command::Daemon { socket_activation } => {
            log_to_journal(&host, &Scope::Runner);
            runner::run(host, Scope::Runner, socket_activation).await?;
        }
        Command::Agent { session_id } => {
            let scope = Scope::Agent(session_id);
            log_to_journal(&host, &scope);
            runner::run(host, scope, false).await?;
        }
        Command::Schema => host.ui.data_json(&About::this())?,
        Command::Job { dir, first, no_namespaces } => {
            if !dir.is_absolute() {
                return Err(Fail::usage("`--dir` must be absolute").into());
            }
            if first {
                let arguments = ["run", "job", "--dir"].map(OsStr::new);
                return cage::run_first(&host.program, &[&arguments[..], &[dir.as_os_str()]].concat(), no_namespaces);
            }
            let credentials = host.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let key = match host.variable(cage::KEY_ON_STDIN) {
                Some(_) => Some(std::io::read_to_string(std::io::stdin())?),
                None => host.variable(cage::API_KEY.1).map(str::to_owned),
            };
            cage::run_inside(&dir, credentials.as_deref(), key).await?;
        }
        Command::Probe { hog: Some(mib), .. } => probe::hog(mib),
        Command::Probe { exceed: true, .. } => host.ui.data_json(&probe::exceed(&host.program)?)?,
        Command::Probe { first: true, no_namespaces, .. } => {
            return cage::run_first(&host.program, &["run", "probe"].map(OsStr::new), no_namespaces);
        }
        Command::Probe { .. } => {
            let request = serde_json::from_reader(std::io::stdin()).context("what to try cannot be read")?;
            host.ui.data_json(&probe::attempt(&request))?;
        }
    }
    Ok(Exit::Done)
}

/// To the journal with fields where systemd connects us to it, to stderr otherwise, and to a file of our own where
/// this user cannot read the journal.
fn log_to_journal(host: &Host, scope: &Scope) {
    let to_journal = host.variable("JOURNAL_STREAM").is_some() || stderr_is_stdin_socket();
    let journal = to_journal.then(tracing_journald::layer).and_then(Result::ok);
    let journal = journal.map(|layer| {
        let agent = scope.agent().map(|name| ("CICD_AGENT", name.as_str()));
        // As `--level` names them; the crate has notices for information.
        let priorities = PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
            ..PriorityMappings::new()
        };
        layer
            .with_field_prefix(None)
            .with_syslog_identifier(scope.identifier())
            .with_custom_fields(agent)
            .with_priority_mappings(priorities)
    });
    let on_stderr = journal.is_none();
    let file =
        (!crate::journal::is_readable(host.uid)).then(|| crate::journal::own_file(&host.paths.log_file())).flatten();
    let plain = || tracing_subscriber::fmt::layer().without_time().with_target(false).with_ansi(false);
    let level = if host.variable("CICD_DEBUG").is_some() { tracing::Level::DEBUG } else { tracing::Level::INFO };
    tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::from_level(level))
        .with(Net::new(host.secrets().clone()))
        .with(journal)
        .with(on_stderr.then(|| plain().with_writer(std::io::stderr)))
        .with(file.map(|file| {
            tracing_subscriber::fmt::layer()
                .with_timer(Who(scope.identifier()))
                .with_target(false)
                .with_ansi(false)
                .with_writer(std::sync::Mutex::new(file))
        }))
        .init();
    // To standard error it would go around the net.
    std::panic::set_hook(Box::new(|panic| tracing::error!("a bug: {panic}")));
}

/// The head of a line of our own file, which all of the user's processes write to; `logs` reads it.
struct Who(String);

impl FormatTime for Who {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        write!(line, "{:.6} {}", jiff::Timestamp::now(), self.0)
    }
}

/// What this process holds in its memory is in no core dump, and not to be read by the user's other processes. A dump
/// that goes to a program is made whatever the limit says, so it takes both; what is started from here has the limit.
fn keep_memory_to_itself(is_daemon: bool) {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!("core dumps could not be turned off: {error}");
    }
    // The engine of a job may look at the process that started it; it has the same secret.
    if is_daemon && let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!("memory could not be closed to others: {error}");
    }
}

/// With `StandardInput=socket` standard error is that socket, too: what is written there goes to the client.
fn stderr_is_stdin_socket() -> bool {
    let stat = |fd: std::os::fd::BorrowedFd<'_>| rustix::fs::fstat(fd).ok();
    let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
    match (stat(stdin.as_fd()), stat(stderr.as_fd())) {
        (Some(a), Some(b)) => {
            rustix::fs::FileType::from_raw_mode(b.st_mode) == rustix::fs::FileType::Socket
                && (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
        }
        _ => false,
    }
}
