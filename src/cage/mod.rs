//! Where the engine of one job runs: a transient unit of its own with limits, a sandbox and a deadline
//! (`cicd-job-ID.service`), or, where no user manager exists, a child process in its own process group.
//!
//! Both start `cicdctl run job --dir DIR`. The two sides talk through files below DIR, so that the cage needs nobody
//! at its side: `input.json` goes in; `out/events.jsonl` and at last `out/result.json` come out.

mod inside;
mod quota;
mod sandbox;

use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use zbus::wire::Variant;

use crate::config::JobConfig;
use crate::engine::{Bundle, EngineError, EngineReport, EngineSpec, Progress};
use crate::files;
use crate::review::CageUsed;
use crate::systemd::{Manager, UnitState, Verb};

pub use inside::run_inside;
use quota::Quota;
pub use sandbox::properties;

/// Name of the secret with the engine's key, and of the variable that holds it outside a cage.
pub const API_KEY: (&str, &str) = ("anthropic-api-key", "ANTHROPIC_API_KEY");

/// How long the cage may go on after the engine's own deadlines, for its clean-up.
const GRACE: Duration = Duration::from_secs(30);

/// A shutdown stops cage, bus and runner at once, in any order. Where the first two went away before their time, the
/// runner learns within this time whether it is to stop, too: then the job is not to blame.
const STOP_SHOWS: Duration = Duration::from_secs(2);

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
    /// File with the engine's key, if there is one.
    pub api_key_file: Option<PathBuf>,
    /// The key is in the environment of the user manager (`environment.d`).
    pub api_key_in_environment: bool,
    /// Go on without a sandbox where none can be had.
    pub unsandboxed: bool,
    /// The executable of this program.
    pub program: &'a Path,
}

impl Order<'_> {
    /// Only the engine that talks to the API gets its key.
    fn needs_key(&self) -> bool {
        matches!(self.input.spec, EngineSpec::Claude(_))
    }
}

/// Whether a running job is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    GoOn,
    Cancel,
    /// A newer head of the pull request takes its place.
    Supersede,
    /// The runner stops; the job goes back into the queue.
    Release,
}

pub struct End {
    pub result: Result<EngineReport, EngineError>,
    pub used: CageUsed,
    pub peak_memory: Option<u64>,
}

/// How engines are confined on this host.
pub enum Cage {
    Unit(Manager),
    Child { because: String },
}

impl Cage {
    /// Runs the engine to its end. `None` where `wish` ended it.
    pub async fn run(
        &self,
        order: &Order<'_>,
        wish: &mut watch::Receiver<Wish>,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Option<End>> {
        for dir in ["scratch", "out", "checkout", "tmp"] {
            files::make_dir(&order.dir.join(dir), 0o700)?;
        }
        files::make_dir(&order.input.engine_home, 0o700)?;
        files::write_with(&order.dir.join("input.json"), 0o600, |file| {
            let mut file = BufWriter::new(file);
            serde_json::to_writer(&mut file, order.input)?;
            Ok(file.flush()?)
        })?;
        match self {
            Cage::Unit(manager) => in_unit(manager, order, wish, progress).await,
            Cage::Child { because } => as_child(order, because, wish, progress).await,
        }
    }

    /// Ends the cage of a job whose process was killed. A child process without its parent ends by itself.
    pub async fn end(&self, job: &str) {
        let Cage::Unit(manager) = self else { return };
        let unit = unit_name(job);
        if let Err(error) = manager.change_one(Verb::Stop, &unit).await {
            tracing::warn!("could not stop `{unit}`, ignoring: {error:#}");
        }
        manager.reset_failed(&unit).await;
    }
}

/// Name of a job's unit.
pub fn unit_name(job: &str) -> String {
    format!("cicd-job-{job}.service")
}

async fn in_unit(
    manager: &Manager,
    order: &Order<'_>,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<End>> {
    let unit = unit_name(order.job);
    // One may be left from a runner that crashed.
    manager.change_one(Verb::Stop, &unit).await?;
    manager.reset_failed(&unit).await;

    let mut used = CageUsed { unit: Some(unit.clone()), uncaged_because: None };
    let mut sandboxed = true;
    loop {
        let properties = properties(order, sandboxed, GRACE);
        let borrowed: Vec<(&str, Variant<'_>)> =
            properties.iter().map(|(name, value)| Ok((*name, value.try_clone()?))).collect::<Result<_>>()?;
        let started = manager.start_transient(&unit, &borrowed).await;
        let mut too_much = None;
        let state = match started {
            Ok(()) => match watch_unit(manager, order, &unit, wish, progress, &mut too_much).await {
                Ok(state) => state,
                Err(error) => {
                    tokio::time::sleep(STOP_SHOWS).await;
                    return Err(error);
                }
            },
            Err(error) => {
                tracing::debug!("{unit}: {error:#}");
                Some(manager.state(&unit).await.unwrap_or_default())
            }
        };
        let Some(state) = state else {
            manager.change_one(Verb::Stop, &unit).await?;
            manager.reset_failed(&unit).await;
            let ended = |cause| End { result: Err(EngineError::failed(cause)), used, peak_memory: None };
            return Ok(too_much.map(ended));
        };
        manager.reset_failed(&unit).await;
        if let Some(end) = read_output(order.dir)? {
            return Ok(Some(End { peak_memory: end.peak_memory.or(state.memory_peak), result: end.result, used }));
        }
        // 217, 218, 226: systemd could not build the sandbox (user namespaces forbidden, most often).
        let no_sandbox =
            matches!(state.exit_status, Some(217 | 218 | 226)) && state.result.as_deref() == Some("exit-code");
        if no_sandbox && sandboxed && order.unsandboxed {
            sandboxed = false;
            used.uncaged_because = Some(format!("no sandbox: {}", state.failure()));
            continue;
        }
        let cause = if no_sandbox {
            format!(
                "the sandbox of the engine cannot be had here: {}; `cicdctl doctor` says what is missing, \
                 `cicdctl review --unsandboxed` goes without",
                state.failure()
            )
        } else {
            if !matches!(state.result.as_deref(), Some("oom-kill" | "timeout")) {
                tokio::time::sleep(STOP_SHOWS).await;
            }
            cause_of(&state, order.limits)
        };
        return Ok(Some(End { result: Err(EngineError::failed(cause)), used, peak_memory: state.memory_peak }));
    }
}

fn cause_of(state: &UnitState, limits: &JobConfig) -> String {
    match state.result.as_deref() {
        Some("oom-kill") => format!("the engine ran out of memory and was killed at its limit of {}", limits.memory),
        Some("timeout") => format!("the engine did not end within {}", limits.timeout),
        Some("success") | None => "the engine's unit ended without a result".into(),
        _ => format!("the engine's unit failed: {}", state.failure()),
    }
}

/// Follows a running unit until it has ended; `None` when it is to be ended, perhaps as it took `too_much` of the disk.
async fn watch_unit(
    manager: &Manager,
    order: &Order<'_>,
    unit: &str,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
    too_much: &mut Option<String>,
) -> Result<Option<UnitState>> {
    let mut quota = Quota::new(order);
    let mut tail = Tail::new(order.dir);
    let began = Instant::now();
    let mut peak = None;
    let mut group = None;
    loop {
        tail.read(progress);
        let (active, now) = manager.pulse(unit).await?;
        group = now.or(group);
        // The group is gone with the unit, so its peak is read as long as it is there (252 has no MemoryPeak=).
        peak = group.as_deref().and_then(memory_peak).max(peak);
        if !matches!(active.as_str(), "active" | "activating" | "reloading" | "deactivating") {
            tail.read(progress);
            let state = manager.state(unit).await?;
            return Ok(Some(UnitState { memory_peak: state.memory_peak.max(peak), ..state }));
        }
        *too_much = quota.passed().await;
        if too_much.is_some() {
            return Ok(None);
        }
        let pause = if began.elapsed() < Duration::from_secs(1) { 20 } else { 150 };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            () = not_to_go_on(wish) => return Ok(None),
        }
    }
}

/// Ends when somebody no longer wants the job to go on; never, where nobody is left who could.
async fn not_to_go_on(wish: &mut watch::Receiver<Wish>) {
    let gone = wish.wait_for(|wish| *wish != Wish::GoOn).await.is_err();
    if gone {
        std::future::pending::<()>().await;
    }
}

fn memory_peak(control_group: &str) -> Option<u64> {
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find_map(|root| std::fs::read_to_string(format!("{root}{control_group}/memory.peak")).ok())
        .and_then(|text| text.trim().parse().ok())
}

async fn as_child(
    order: &Order<'_>,
    because: &str,
    wish: &mut watch::Receiver<Wish>,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Option<End>> {
    let used = CageUsed { unit: None, uncaged_because: Some(because.to_owned()) };
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
    if let Some(file) = order.api_key_file.as_ref().filter(|_| order.needs_key()) {
        // A directory with this one secret in it: the others, such as the forge's token, are none of the engine's business.
        let dir = order.dir.join("credentials");
        files::make_dir(&dir, 0o700)?;
        std::os::unix::fs::symlink(file, dir.join(API_KEY.0)).context("could not hand over the engine's key")?;
        command.env("CREDENTIALS_DIRECTORY", dir);
    } else if let Some(key) = std::env::var_os(API_KEY.1).filter(|_| order.needs_key()) {
        command.env(API_KEY.1, key);
    }
    let mut child = command.spawn().with_context(|| format!("could not start `{}`", order.program.display()))?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(nix::unistd::Pid::from_raw);
    let mut stderr = child.stderr.take().context("no stderr")?;
    let words = tokio::spawn(async move {
        let mut text = Vec::new();
        // What it says is only used where it left no result.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stderr, &mut text).await;
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let mut tail = Tail::new(order.dir);
    let mut quota = Quota::new(order);
    let deadline = tokio::time::sleep(order.limits.timeout.0 + GRACE);
    tokio::pin!(deadline);
    let ended = loop {
        tail.read(progress);
        if let Some(cause) = quota.passed().await {
            break Some(Err(anyhow!(cause)));
        }
        tokio::select! {
            status = child.wait() => break Some(Ok(status?)),
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = &mut deadline => break Some(Err(anyhow!("the engine did not end within {}", order.limits.timeout))),
            () = not_to_go_on(wish) => break None,
        }
    };
    // Told to stop it ends its engine, which has a group of its own; only then is it killed.
    if let Some(group) = group {
        if ended.is_none() || matches!(ended, Some(Err(_))) {
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGTERM);
            let _ = tokio::time::timeout(Duration::from_secs(8), child.wait()).await;
        }
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
    }
    let _ = child.wait().await;
    tail.read(progress);
    let Some(ended) = ended else { return Ok(None) };
    if let Some(output) = read_output(order.dir)? {
        return Ok(Some(End { result: output.result, used, peak_memory: output.peak_memory }));
    }
    let cause = match ended {
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
    Ok(Some(End { result: Err(EngineError::failed(cause)), used, peak_memory: None }))
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
}

/// Largest result that is read, in bytes.
const MAX_RESULT: u64 = 64 << 20;
/// Events that a cage may hand over in all, in bytes and in number; more is noise. Each is a write to the disk.
const MAX_EVENT_BYTES: u64 = 4 << 20;
const MAX_EVENTS: usize = 2000;

impl Tail {
    fn new(dir: &Path) -> Tail {
        Tail { path: dir.join("out/events.jsonl"), offset: 0, rest: Vec::new(), events: 0 }
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
                progress(event);
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
        let (mut tail, mut told) = (Tail::new(dir.path()), 0);
        tail.read(&mut |_| told += 1);
        assert_eq!(told, 2);
        std::fs::write(&path, format!("{line}no event\n{line}{}", line.repeat(130_000))).unwrap();
        let began = Instant::now();
        tail.read(&mut |_| told += 1);
        assert_eq!(told, MAX_EVENTS);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
