//! Where the engine of one job runs: a transient unit of its own with limits, a sandbox and a deadline
//! (`cicd-job-ID.service`), or, where no user manager exists, a child process in its own process group.
//!
//! Both start `cicdctl run job --dir DIR`. The two sides talk through files below DIR, so that the cage needs nobody
//! at its side: `input.json` goes in; `out/events.jsonl` and at last `out/result.json` come out.

mod first;
mod inside;
mod quota;
mod refused;
pub mod sandbox;

use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use zbus::wire::Variant;

use crate::cgroup;
use crate::config::JobConfig;
use crate::engine::{Bundle, EngineError, EngineReport, EngineSpec, Progress};
use crate::error::Exit;
use crate::files;
use crate::review::CageUsed;
use crate::secret::Value;
use crate::secret::handover::Handover;
use crate::systemd::{Manager, UnitState, Verb};

pub use first::run_first;
pub use inside::run_inside;
use quota::Quota;
pub use quota::is_too_much;
use sandbox::{Around, properties};

/// Name of the secret with the engine's key, and of the variable that holds it outside a cage.
pub const API_KEY: (&str, &str) = ("anthropic-api-key", "ANTHROPIC_API_KEY");

/// With this status the inside of a cage leaves that was told to stop.
const TOLD_TO_STOP: Exit = Exit::TryLater;

/// So long systemd may give no answer.
const UNREACHABLE: Duration = Duration::from_secs(30);

/// Set where a child process finds the key on its standard input.
pub const KEY_ON_STDIN: &str = "CICD_API_KEY_ON_STDIN";

/// How long the cage may go on after the engine's own deadlines, for its clean-up.
const GRACE: Duration = Duration::from_secs(30);

/// `input.json`
#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    pub job: String,
    pub spec: EngineSpec,
    pub bundle: Bundle,
    pub engine_home: PathBuf,
}

/// `result.json`
#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    pub result: Result<EngineReport, EngineError>,
    pub peak_memory: Option<u64>,
}

/// What a cage is made for.
pub struct Order<'a> {
    pub job: &'a str,
    /// The job's own directory, absolute.
    pub dir: &'a Path,
    pub input: &'a Input,
    pub limits: &'a JobConfig,
    /// The engine's key, if there is one.
    pub api_key: Option<Key>,
    /// The key is in the environment of the user manager (`environment.d`).
    pub api_key_in_environment: bool,
    /// Go on without a sandbox where none can be had.
    pub unsandboxed: bool,
    /// The executable of this program.
    pub program: &'a Path,
    /// The user's own directories outside of `/home`, which nothing else hides.
    pub hidden: &'a [PathBuf],
}

/// The key of an engine, on its way into the cage.
#[derive(Debug, Clone)]
pub struct Key {
    pub value: Value,
    /// The file that it is kept in as it is, where it is.
    pub file: Option<PathBuf>,
}

impl Order<'_> {
    /// Only the engine that talks to the API gets its key.
    fn needs_key(&self) -> bool {
        matches!(self.input.spec, EngineSpec::Claude(_))
    }

    fn key(&self) -> Option<&Key> {
        self.api_key.as_ref().filter(|_| self.needs_key())
    }

    /// Where the manager reads the key when it sets up the cage: its file, or else a socket at which we hand it over.
    fn key_source(&self) -> Option<PathBuf> {
        self.key().map(|key| key.file.clone().unwrap_or_else(|| self.dir.join("key")))
    }
}

/// Whether a running job is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    Cancel,
    /// A newer head of the pull request takes its place.
    Supersede,
    /// The runner stops; the job goes back into the queue. An engine in a unit goes on meanwhile.
    Release,
}

/// How [`Cage::run`] came to its end.
pub enum Finished {
    Ended(Box<End>),
    /// Nobody wants the engine any more, and it is gone.
    Wish(Wish),
    /// The runner stops, and the engine goes on without it, for the next one to find.
    GoesOn,
    /// The cage was ended from outside, or systemd cannot be asked. That says nothing about the job.
    Lost(String),
}

#[derive(Debug)]
pub struct End {
    pub result: Result<EngineReport, EngineError>,
    pub used: CageUsed,
    pub peak_memory: Option<u64>,
}

/// What [`Cage::run`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing of an earlier cage.
    Anew,
    /// One that an earlier process began and nobody has seen the end of; the first events of it have been told.
    Adopt { told: usize },
}

/// How engines are confined on this host.
pub enum Cage {
    Unit(Manager),
    Child { because: String },
}

impl Cage {
    /// Runs the engine to its end, or goes on with one that runs, or has ended, in the same directory.
    pub async fn run(
        &self,
        order: &Order<'_>,
        start: Start,
        wish: &mut watch::Receiver<Wish>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Finished> {
        if start == Start::Anew {
            for dir in ["scratch", "out", "checkout", "tmp"] {
                files::make_dir(&order.dir.join(dir), 0o700)?;
            }
            files::make_dir(&order.input.engine_home, 0o700)?;
            files::write_with(&order.dir.join("input.json"), 0o600, |file| {
                let mut file = BufWriter::new(file);
                serde_json::to_writer(&mut file, order.input)?;
                Ok(file.flush()?)
            })?;
        }
        match self {
            Cage::Unit(manager) => Ok(match in_unit(manager, order, start, wish, progress).await {
                Ok(finished) => finished,
                // All that it asks is systemd.
                Err(error) => Finished::Lost(format!("systemd could not be asked about the engine: {error:#}")),
            }),
            Cage::Child { because } => as_child(order, because, start, wish, progress).await,
        }
    }

    /// Whether there is something to go on with in the directory of a job: an engine at work, or the end of one.
    pub async fn is_left(&self, job: &str, dir: &Path) -> Result<bool> {
        if read_output(dir).is_ok_and(|output| output.is_some()) {
            return Ok(true);
        }
        let Cage::Unit(manager) = self else { return Ok(false) };
        let state = manager.state(&unit_name(job)).await?;
        Ok(is_at_work(&state.active) || (state.is_failed() && !was_ended_from_outside(&state)))
    }

    /// Ends the cage of a job, if there is one. A child process without its parent ends by itself.
    pub async fn end(&self, job: &str) {
        let Cage::Unit(manager) = self else { return };
        let unit = unit_name(job);
        if let Err(error) = manager.change_one(Verb::Stop, &unit).await {
            tracing::warn!("could not stop `{unit}`, ignoring: {error:#}");
        }
        manager.reset_failed(&unit).await;
    }

    /// Jobs that have a cage at present, loaded by the user manager.
    pub async fn jobs(&self) -> Result<Vec<String>> {
        let Cage::Unit(manager) = self else { return Ok(Vec::new()) };
        let units = manager.loaded(&[&unit_name("*")]).await?;
        Ok(units.iter().filter_map(|unit| job_of_unit(unit)).map(str::to_owned).collect())
    }
}

/// Name of a job's unit.
pub fn unit_name(job: &str) -> String {
    format!("cicd-job-{job}.service")
}

fn job_of_unit(unit: &str) -> Option<&str> {
    let job = unit.strip_prefix("cicd-job-")?.strip_suffix(".service")?;
    ulid::Ulid::from_string(job).is_ok().then_some(job)
}

/// Where it stands why the engine of this directory has no sandbox.
const UNCAGED: &str = "uncaged";

async fn in_unit(
    manager: &Manager,
    order: &Order<'_>,
    mut start: Start,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Finished> {
    let unit = unit_name(order.job);
    let uncaged = order.dir.join(UNCAGED);
    let mut used = CageUsed { unit: Some(unit.clone()), uncaged_because: None };
    if let Start::Adopt { .. } = start {
        used.uncaged_because = files::read(&uncaged)?;
    } else {
        // Whatever has this name is of another time.
        manager.change_one(Verb::Stop, &unit).await?;
        manager.reset_failed(&unit).await;
    }
    loop {
        if start == Start::Anew
            && let Err(error) = begin(manager, order, &unit, used.uncaged_because.is_none()).await
        {
            let state = manager.state(&unit).await?;
            if !state.is_failed() {
                return Ok(match is_our_fault(&error) {
                    true => failed(format!("the engine's unit cannot be made: {error:#}"), used, None),
                    false => Finished::Lost(format!("the engine's unit could not be started: {error:#}")),
                });
            }
        }
        let told = match start {
            Start::Anew => 0,
            Start::Adopt { told } => told,
        };
        let state = match watch_unit(manager, order, &unit, told, wish, progress).await? {
            Watched::Over(state) => state,
            Watched::TooMuch(cause) => {
                manager.change_one(Verb::Stop, &unit).await?;
                manager.reset_failed(&unit).await;
                return Ok(failed(cause, used, None));
            }
            Watched::Wish(Wish::Release) => return Ok(Finished::GoesOn),
            Watched::Wish(wish) => {
                manager.change_one(Verb::Stop, &unit).await?;
                manager.reset_failed(&unit).await;
                return Ok(Finished::Wish(wish));
            }
        };
        manager.reset_failed(&unit).await;
        match read_output(order.dir) {
            Ok(Some(Output { result, peak_memory })) => {
                let peak_memory = peak_memory.or(state.memory_peak);
                return Ok(Finished::Ended(Box::new(End { result, used, peak_memory })));
            }
            Ok(None) => {}
            Err(error) => return Ok(failed(format!("{error:#}"), used, state.memory_peak)),
        }
        if was_ended_from_outside(&state) {
            return Ok(Finished::Lost(format!("`{unit}` was stopped from outside before its engine had ended")));
        }
        // 217, 218, 226: systemd could not build the sandbox (user namespaces forbidden, most often).
        let no_sandbox =
            matches!(state.exit_status, Some(217 | 218 | 226)) && state.result.as_deref() == Some("exit-code");
        if no_sandbox && used.uncaged_because.is_none() && order.unsandboxed {
            let because = format!("no sandbox: {}", state.failure());
            files::write(&uncaged, because.as_bytes(), 0o600)?;
            (used.uncaged_because, start) = (Some(because), Start::Anew);
            continue;
        }
        let cause = if no_sandbox {
            format!(
                "the sandbox of the engine cannot be had here: {}; `cicdctl doctor` says what is missing, \
                 `cicdctl review --unsandboxed` goes without",
                state.failure()
            )
        } else {
            cause_of(&state, order.limits)
        };
        return Ok(failed(cause, used, state.memory_peak));
    }
}

/// Starts the unit; an error where its process did not come to run.
async fn begin(manager: &Manager, order: &Order<'_>, unit: &str, sandboxed: bool) -> Result<()> {
    let around = Around::of(manager).await?;
    let properties = properties(order, sandboxed, GRACE, &around);
    let borrowed: Vec<(&str, Variant<'_>)> =
        properties.iter().map(|(name, value)| Ok((*name, value.try_clone()?))).collect::<Result<_>>()?;
    match order.key().filter(|key| key.file.is_none()) {
        None => manager.start_transient(unit, &borrowed).await,
        Some(key) => {
            let handover = Handover::new(&order.dir.join("key"))?;
            tokio::select! {
                started = manager.start_transient(unit, &borrowed) => started,
                never = handover.serve(unit, &key.value) => match never {},
            }
        }
    }
}

fn failed(cause: String, used: CageUsed, peak_memory: Option<u64>) -> Finished {
    Finished::Ended(Box::new(End { result: Err(EngineError::failed(cause)), used, peak_memory }))
}

fn is_at_work(active: &str) -> bool {
    matches!(active, "active" | "activating" | "reloading" | "deactivating")
}

/// The user manager stops (a shutdown does that), or somebody has told it to stop this unit. A process that was told so
/// leaves with a status of its own; one that was not there any more leaves none.
fn was_ended_from_outside(state: &UnitState) -> bool {
    match state.result.as_deref() {
        Some("success") | None => true,
        Some("exit-code") => state.exit_status == Some(i32::from(TOLD_TO_STOP.code())),
        _ => false,
    }
}

/// The manager has understood what we want and does not do it: it will not do it later, either.
fn is_our_fault(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    ["InvalidArgs", "PropertyReadOnly", "UnknownProperty", "NotSupported"].iter().any(|name| text.contains(name))
}

fn cause_of(state: &UnitState, limits: &JobConfig) -> String {
    match state.result.as_deref() {
        Some("oom-kill") => format!("the engine ran out of memory and was killed at its limit of {}", limits.memory),
        Some("timeout") => format!("the engine did not end within {}", limits.timeout),
        Some("success") | None => "the engine's unit ended without a result".into(),
        _ => format!("the engine's unit failed: {}", state.failure()),
    }
}

enum Watched {
    Over(Box<UnitState>),
    /// It takes more of the disk than it may, and still does.
    TooMuch(String),
    Wish(Wish),
}

/// Follows a unit until it has ended, or is wanted no more. The first events of it have been `told`.
async fn watch_unit(
    manager: &Manager,
    order: &Order<'_>,
    unit: &str,
    told: usize,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Watched> {
    let mut quota = Quota::new(order);
    let mut tail = Tail::new(order.dir, told);
    let began = Instant::now();
    let mut peak = None;
    let mut group = None;
    let mut failing: Option<Instant> = None;
    loop {
        tail.read(progress);
        let (active, now) = match manager.pulse(unit).await {
            Ok(found) => found,
            // As at a shutdown, where the bus ends together with the cage.
            Err(_) if group.as_deref().is_some_and(cgroup::is_gone) => {
                tail.read(progress);
                return Ok(Watched::Over(Box::new(UnitState { memory_peak: peak, ..UnitState::default() })));
            }
            Err(error) if failing.get_or_insert_with(Instant::now).elapsed() > UNREACHABLE => return Err(error),
            // It goes on whether we look or not, and a bus daemon that was restarted is there again in a moment.
            Err(error) => {
                tracing::debug!("{unit}: {error:#}");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                    wish = not_to_go_on(wish) => return Ok(Watched::Wish(wish)),
                }
                if let Err(error) = manager.revive().await {
                    tracing::debug!("{error:#}");
                }
                continue;
            }
        };
        failing = None;
        group = now.or(group);
        // The group is gone with the unit, so its peak is read as long as it is there (252 has no MemoryPeak=).
        peak = group.as_deref().and_then(memory_peak).max(peak);
        if !is_at_work(&active) {
            tail.read(progress);
            let state = manager.state(unit).await?;
            return Ok(Watched::Over(Box::new(UnitState { memory_peak: state.memory_peak.max(peak), ..state })));
        }
        if let Some(cause) = quota.passed().await {
            return Ok(Watched::TooMuch(cause));
        }
        let pause = if began.elapsed() < Duration::from_secs(1) { 20 } else { 150 };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            wish = not_to_go_on(wish) => return Ok(Watched::Wish(wish)),
        }
    }
}

/// Ends when somebody no longer wants the job to go on; never, where nobody is left who could.
async fn not_to_go_on(wish: &mut watch::Receiver<Wish>) -> Wish {
    let wished = wish.wait_for(|wish| *wish != Wish::GoOn).await.map(|wish| *wish);
    match wished {
        Ok(wish) => wish,
        Err(_) => std::future::pending().await,
    }
}

fn memory_peak(control_group: &str) -> Option<u64> {
    cgroup::read(control_group, "memory.peak")?.trim().parse().ok()
}

async fn as_child(
    order: &Order<'_>,
    because: &str,
    start: Start,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Finished> {
    let used = CageUsed { unit: None, uncaged_because: Some(because.to_owned()) };
    let ended = |Output { result, peak_memory }, used| Finished::Ended(Box::new(End { result, used, peak_memory }));
    if let Start::Adopt { told } = start {
        Tail::new(order.dir, told).read(progress);
        return Ok(match read_output(order.dir)? {
            Some(output) => ended(output, used),
            None => Finished::Lost("the engine's result is gone".into()),
        });
    }
    let mut command = tokio::process::Command::new(order.program);
    command
        .args(["run", "job", "--dir"])
        .arg(order.dir)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    for name in &order.limits.pass_environment {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if order.key().is_some() {
        command.env(KEY_ON_STDIN, "yes").stdin(std::process::Stdio::piped());
    } else if let Some(key) = std::env::var_os(API_KEY.1).filter(|_| order.needs_key()) {
        command.env(API_KEY.1, key);
    }
    let mut child = command.spawn().with_context(|| format!("could not start `{}`", order.program.display()))?;
    if let (Some(key), Some(mut stdin)) = (order.key(), child.stdin.take()) {
        // A child that ends before it has read it says by its end why.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, key.value.reveal().as_bytes()).await;
    }
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
    let mut stderr = child.stderr.take().context("no stderr")?;
    let words = tokio::spawn(async move {
        let mut text = Vec::new();
        // What it says is only used where it left no result.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stderr, &mut text).await;
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let mut quota = Quota::new(order);
    let mut tail = Tail::new(order.dir, 0);
    let deadline = tokio::time::sleep(order.limits.timeout.0 + GRACE);
    tokio::pin!(deadline);
    let process_ended = loop {
        tail.read(progress);
        if let Some(cause) = quota.passed().await {
            break Ok(Err(anyhow!(cause)));
        }
        tokio::select! {
            status = child.wait() => break Ok(Ok(status?)),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = &mut deadline => break Ok(Err(anyhow!("the engine did not end within {}", order.limits.timeout))),
            wish = not_to_go_on(wish) => break Err(wish),
        }
    };
    // Told to stop it ends its engine, which has a group of its own; only then is it killed.
    if let Some(group) = group {
        if !matches!(process_ended, Ok(Ok(_))) {
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
            let _ = tokio::time::timeout(Duration::from_secs(8), child.wait()).await;
        }
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.wait().await;
    tail.read(progress);
    let process_ended = match process_ended {
        Ok(ended) => ended,
        Err(wish) => return Ok(Finished::Wish(wish)),
    };
    if let Some(output) = read_output(order.dir)? {
        return Ok(ended(output, used));
    }
    let cause = match process_ended {
        Err(error) => error.to_string(),
        Ok(status) => {
            let words = tokio::time::timeout(Duration::from_secs(1), words).await;
            let words = words.ok().and_then(Result::ok).unwrap_or_default();
            format!(
                "the engine's process ended with {status} and without a result{}{words}",
                if words.is_empty() { "" } else { ": " }
            )
        }
    };
    Ok(failed(cause, used, None))
}

fn read_output(dir: &Path) -> Result<Option<Output>> {
    match files::read_untrusted(&dir.join("out/result.json"), MAX_RESULT)? {
        Some(text) => Ok(Some(serde_json::from_str(&text).context("the cage left a result that cannot be read")?)),
        None => Ok(None),
    }
}

/// Reads the lines that a cage adds to its events. The file is written by an engine that nobody trusts: it may be
/// long, broken or gone.
struct Tail {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
    events: usize,
    /// So many of the first were told by an earlier process.
    told: usize,
}

/// Largest result that is read, in bytes.
const MAX_RESULT: u64 = 64 << 20;
/// Events that a cage may hand over in all, in bytes and in number; more is noise. Each is a write to the disk.
const MAX_EVENT_BYTES: u64 = 4 << 20;
const MAX_EVENTS: usize = 2000;

impl Tail {
    fn new(dir: &Path, told: usize) -> Tail {
        Tail { path: dir.join("out/events.jsonl"), offset: 0, rest: Vec::new(), events: 0, told }
    }

    fn read(&mut self, progress: &mut (dyn FnMut(Progress) + Send)) {
        let Ok(Some(mut file)) = files::open_untrusted(&self.path) else { return };
        let room = MAX_EVENT_BYTES.saturating_sub(self.offset);
        let mut new = Vec::new();
        if file.seek(SeekFrom::Start(self.offset)).is_err() || file.take(room).read_to_end(&mut new).is_err() {
            return;
        }
        self.offset += new.len() as u64;
        self.rest.append(&mut new);
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in self.rest.drain(..whole).as_slice().split(|byte| *byte == b'\n') {
            if self.events == MAX_EVENTS {
                break;
            }
            if let Ok(event) = serde_json::from_slice(line) {
                self.events += 1;
                if self.events > self.told {
                    progress(event);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_events_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        let line = "{\"progress\":\"note\",\"text\":\"\"}\n";
        let path = dir.path().join("out/events.jsonl");
        std::fs::write(&path, format!("{line}no event\n{line}{}", &line[..9])).unwrap();
        let (mut tail, mut told) = (Tail::new(dir.path(), 0), 0);
        tail.read(&mut |_| told += 1);
        assert_eq!(told, 2);
        std::fs::write(&path, format!("{line}no event\n{line}{}", line.repeat(130_000))).unwrap();
        let began = Instant::now();
        tail.read(&mut |_| told += 1);
        assert_eq!(told, MAX_EVENTS);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
