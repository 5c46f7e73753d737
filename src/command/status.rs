//! `cicdctl status`: one screen that says what is really going on, trouble first.

use anyhow::Result;
use jiff::Zoned;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::agent::paused;
use super::cause::cause;
use super::confinement::{self, Hardening};
use super::cost::{self, Today};
use crate::agent::AgentName;
use crate::api::client::Client;
use crate::api::{Job, JobState};
use crate::config::{Agent, Config, Size};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::journal;
use crate::plain;
use crate::probe::remedy;
use crate::quantity;
use crate::review::{self, Outcome};
use crate::runner::Scope;
use crate::store::{self, Pause, Store, Watch, WatchState, now_ms};
use crate::systemd::{self, Linger, Manager, UnitState, read_group};
use crate::ui::{Ui, bold, dim, green, red, yellow};
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};

/// Show units, queue and last reviews on one screen
///
/// Memory, CPU and tasks stand against their limits; each limit is either enforced by the kernel or only declared.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this agent
    name: Option<String>,
}

/// Everything that is shown, and what `--json` prints.
#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    user: String,
    /// `init` was here.
    #[serde(skip)]
    set_up: bool,
    systemd: Option<String>,
    runner: Unit,
    agents: Vec<Unit>,
    queue: Queue,
    last: Vec<Job>,
    /// Where something was spent today, and there are caps.
    #[serde(skip_serializing_if = "Option::is_none")]
    money: Option<Today>,
    /// Where there are units to be confined.
    #[serde(skip_serializing_if = "Option::is_none")]
    hardening: Option<Hardening>,
    /// What puts limits in force that are declared only.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits_remedy: Option<String>,
    host: HostState,
}

#[derive(Debug, Serialize)]
struct Unit {
    name: String,
    /// One word for people: `working`, `ready`, `asleep`, `stopped`, `failed`, `crash-loop`, `absent`, `foreground`,
    /// `paused`, `draining`.
    word: &'static str,
    service: UnitState,
    socket: UnitState,
    socket_path: String,
    project: Option<String>,
    watch: Option<Watching>,
    /// Why it begins no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<Pause>,
    /// Why it is not up, beyond what systemd says.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    limits: Vec<LimitState>,
}

impl Unit {
    /// Adds why it begins nothing, or is not up.
    async fn explain(&mut self, host: &Host, store: Option<&Store>, scope: &Scope) {
        self.pause = paused(store, scope).await;
        if matches!(self.word, "failed" | "crash-loop") {
            self.cause = cause(host, scope.agent(), &self.service);
        } else {
            self.word = held_word(self.word, self.pause.as_ref());
        }
    }
}

/// What an agent watches, and how that goes.
#[derive(Debug, Clone, Serialize)]
pub struct Watching {
    repo: String,
    /// As it is configured, such as `1m`.
    interval: String,
    #[serde(flatten)]
    state: WatchState,
}

impl Watching {
    /// Such as: `acme/shop every 1m, asked 12s ago`.
    pub fn in_words(&self) -> String {
        let asked = match self.state.asked_ms {
            Some(ms) => format!("asked {} ago", quantity::duration(since(ms))),
            None => "not asked yet".into(),
        };
        format!("{} every {}, {asked}", self.repo, self.interval)
    }

    pub fn last_failure(&self) -> Option<String> {
        let WatchState { failed_ms: Some(ms), failure: Some(failure), .. } = &self.state else { return None };
        Some(format!("{} ago: {failure}", quantity::duration(since(*ms))))
    }
}

/// How an agent's watch stands, if it has one.
pub async fn watch_of(host: &Host, agent: &Agent) -> Result<Option<Watching>> {
    let Some(repo) = agent.watches() else { return Ok(None) };
    let state = match host.paths.store().exists() {
        true => Store::open(&host.paths.store())?.watch_state(&Watch::new(agent.name.clone(), repo)).await?,
        false => WatchState::default(),
    };
    Ok(Some(Watching { repo: repo.to_owned(), interval: agent.config.watch.interval.to_string(), state }))
}

/// A limit that was asked for, and what the kernel knows of it.
#[derive(Debug, Clone, Serialize)]
struct LimitState {
    name: &'static str,
    declared: u64,
    /// `None` where it cannot be told, as nothing runs in the unit.
    enforced: Option<bool>,
}

#[derive(Debug, Default, Serialize)]
struct Queue {
    queued: u64,
    running: u64,
    oldest_queued_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
struct HostState {
    linger: bool,
    bus: bool,
    journal_readable: bool,
    controllers: Vec<String>,
    /// Why engines run as plain child processes, where they do.
    uncaged: Option<String>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let status = gather(&args, host).await?;
    if host.ui.json {
        host.ui.data_json(&status)?;
    } else {
        host.ui.data(&show(&status, &host.ui))?;
    }
    Ok(if status.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

async fn gather(args: &Args, host: &Host) -> Result<Status> {
    let only: Option<AgentName> = args.name.as_ref().map(|name| name.parse().map_err(Fail::usage)).transpose()?;
    // What is wrong is what this command is asked about: it is told, and all else is shown.
    let mut problems = Vec::new();
    let config = told(host.config(), &mut problems).unwrap_or_default();
    let mut agents: Vec<(AgentName, Option<Agent>)> = Vec::new();
    match &only {
        Some(name) if !host.paths.agent_file(name).exists() => {
            host.known_agent(name, &config)?;
        }
        Some(name) => agents.push((name.clone(), told(host.agent(name, &config), &mut problems).flatten())),
        None => {
            for name in host.agent_names()? {
                let Some(name) = told(name, &mut problems) else { continue };
                let agent = told(host.agent(&name, &config), &mut problems).flatten();
                agents.push((name, agent));
            }
        }
    }
    // Opened once: one that is locked is waited for, and each agent asks it.
    let store = host.paths.store().exists().then(|| Store::open(&host.paths.store()));
    let store = told(store.transpose(), &mut problems).flatten();
    let manager = match host.manager().await {
        Ok(manager) => manager,
        // A runner in the foreground has its socket and its store all the same.
        Err(error) if host.paths.runner_socket().exists() => {
            return in_foreground(host, &config, only, &error, store.as_ref(), problems).await;
        }
        Err(error) => return Err(problems.into_iter().next().unwrap_or(error)),
    };
    let controllers = controllers(&manager).await;
    let runner = unit(&manager, "runner".into(), RUNNER_SERVICE, RUNNER_SOCKET, &controllers);
    let (manager, controllers, store) = (&manager, &controllers, store.as_ref());
    let others = agents.iter().map(|(name, agent)| async move {
        let mut found = unit(manager, name.to_string(), &name.service(), &name.socket(), controllers).await?;
        found.socket_path = host.paths.agent_socket(name).display().to_string();
        if let Some(agent) = agent {
            let path = agent.path.as_ref().map(|path| plain::visible(&path.display().to_string()));
            found.project = path.or_else(|| agent.repo.clone());
            // A store that cannot be read is told of once, below.
            found.watch = watch_of(host, agent).await.ok().flatten();
        }
        found.explain(host, store, &Scope::Agent(name.clone())).await;
        anyhow::Ok(found)
    });
    let (runner, agents, version) = tokio::join!(runner, futures_util::future::try_join_all(others), manager.version());
    let mut runner = runner?;
    runner.socket_path = host.paths.runner_socket().display().to_string();
    runner.explain(host, store, &Scope::Runner).await;
    let (queue, last, money) = told(work(store, &config, only).await, &mut problems).unwrap_or_default();
    let agents = agents?;
    let version = version.ok();
    let services: Vec<&UnitState> = std::iter::once(&runner).chain(&agents).map(|unit| &unit.service).collect();
    let hardening = version.as_deref().map(|version| confinement::hardening(host, &config, version, &services));
    let all_limits = std::iter::once(&runner).chain(&agents).flat_map(|unit| &unit.limits);
    let limits_remedy = all_limits.clone().any(|limit| limit.enforced == Some(false)).then(|| {
        let missing = remedy::missing(controllers, &["cpu", "memory", "pids"]);
        remedy::controllers(&missing, remedy::is_unified(), host.uid)
    });
    Ok(Status {
        version: crate::version(),
        problems: problems.iter().map(review::reason).collect(),
        user: host.user.clone(),
        set_up: host.paths.manifest().exists(),
        systemd: version,
        runner,
        agents,
        hardening,
        limits_remedy,
        queue,
        last,
        money,
        host: HostState {
            linger: systemd::linger(&host.user) == Linger::On,
            bus: host.paths.runtime_dir.join("bus").exists(),
            journal_readable: journal::is_readable(host.uid),
            controllers: controllers.clone(),
            uncaged: None,
        },
    })
}

/// The value, or nothing and one problem more.
fn told<T>(found: Result<T>, problems: &mut Vec<anyhow::Error>) -> Option<T> {
    found.map_err(|error| problems.push(error)).ok()
}

/// The queue, the newest jobs and the money of today, from the store.
async fn work(
    store: Option<&Store>,
    config: &Config,
    only: Option<AgentName>,
) -> Result<(Queue, Vec<Job>, Option<Today>)> {
    let Some(store) = store else { return Ok((Queue::default(), Vec::new(), None)) };
    let store::Queue { queued, running, oldest_queued_ms } = store.queue(only.clone()).await?;
    let money = cost::today(store, &config.budget, &Zoned::now()).await?;
    Ok((Queue { queued, running, oldest_queued_ms }, store.jobs(only, 5).await?, money))
}

/// The status where no user manager is: a runner that somebody started by hand.
async fn in_foreground(
    host: &Host,
    config: &Config,
    only: Option<AgentName>,
    error: &anyhow::Error,
    store: Option<&Store>,
    mut problems: Vec<anyhow::Error>,
) -> Result<Status> {
    let answers = Client::new(host.paths.runner_socket()).info().await.is_ok();
    let (queue, last, money) = told(work(store, config, only).await, &mut problems).unwrap_or_default();
    Ok(Status {
        version: crate::version(),
        problems: problems.iter().map(review::reason).collect(),
        user: host.user.clone(),
        set_up: host.paths.manifest().exists(),
        systemd: None,
        runner: Unit {
            name: "runner".into(),
            word: if answers { "foreground" } else { "stopped" },
            service: UnitState::default(),
            socket: UnitState::default(),
            socket_path: host.paths.runner_socket().display().to_string(),
            project: None,
            watch: None,
            pause: paused(store, &Scope::Runner).await,
            cause: None,
            limits: Vec::new(),
        },
        agents: Vec::new(),
        queue,
        last,
        money,
        hardening: None,
        limits_remedy: None,
        host: HostState {
            linger: systemd::linger(&host.user) == Linger::On,
            bus: false,
            journal_readable: journal::is_readable(host.uid),
            controllers: Vec::new(),
            uncaged: Some(format!("{error:#}")),
        },
    })
}

async fn unit(manager: &Manager, name: String, service: &str, socket: &str, controllers: &[String]) -> Result<Unit> {
    let (service, socket) = futures_util::future::try_join(manager.state(service), manager.state(socket)).await?;
    Ok(Unit {
        word: word(Some(&service), Some(&socket)),
        limits: limits(&service, controllers),
        name,
        service,
        socket,
        socket_path: String::new(),
        project: None,
        watch: None,
        pause: None,
        cause: None,
    })
}

/// The state of a service and its socket in one word.
pub fn word(service: Option<&UnitState>, socket: Option<&UnitState>) -> &'static str {
    let (Some(service), Some(socket)) = (service, socket) else { return "unknown" };
    match (service.active.as_str(), socket.is_active()) {
        _ if service.load == "not-found" => "absent",
        // A service that the user wrote may do without a socket.
        (active, listens) if socket.load == "not-found" && (active != "active" || listens) => "absent",
        ("failed", _) if service.result.as_deref() == Some("start-limit-hit") => "crash-loop",
        ("activating", _) if service.sub == "auto-restart" => "crash-loop",
        ("failed", _) => "failed",
        _ if socket.is_failed() => "failed",
        ("active", _) if service.status_text.as_deref().is_some_and(is_working) => "working",
        ("active", _) => "ready",
        ("activating" | "reloading", _) => "starting",
        ("deactivating", _) => "stopping",
        (_, true) => "asleep",
        _ => "stopped",
    }
}

/// The same for one that may be paused: that says more than that it is up.
pub fn held_word(word: &'static str, pause: Option<&Pause>) -> &'static str {
    match (word, pause) {
        ("ready" | "working" | "asleep", Some(pause)) if pause.drains => "draining",
        ("ready" | "working" | "asleep", Some(_)) => "paused",
        _ => word,
    }
}

/// By what the process says of itself; what follows the queue is about other things.
fn is_working(text: &str) -> bool {
    text.split(';').next().is_some_and(|queue| queue.contains("running") && !queue.starts_with("0 running"))
}

/// Controllers that the user manager may pass on to its units.
async fn controllers(manager: &Manager) -> Vec<String> {
    let Ok(group) = manager.control_group().await else { return Vec::new() };
    read_group(&group, "cgroup.controllers")
        .map(|text| text.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// Compares what was declared with what the unit's control group says.
fn limits(service: &UnitState, controllers: &[String]) -> Vec<LimitState> {
    let group = service.control_group.as_deref();
    let first_number =
        |file: &str| -> Option<u64> { read_group(group?, file)?.split_whitespace().next()?.parse().ok() };
    let declared = [
        ("memory", "memory", service.memory_max, "memory.max"),
        ("cpu", "cpu", service.cpu_quota_usec, "cpu.max"),
        ("tasks", "pids", service.tasks_max, "pids.max"),
    ];
    declared
        .into_iter()
        .filter_map(|(name, controller, declared, file)| {
            let declared = declared?;
            let enforced = if !controllers.iter().any(|known| known == controller) {
                Some(false)
            } else {
                // Without processes there is no group to read; the controller is there, so it will be.
                group.map(|_| first_number(file).is_some())
            };
            Some(LimitState { name, declared, enforced })
        })
        .collect()
}

fn show(status: &Status, ui: &Ui) -> String {
    let mut out = String::new();
    let trouble = trouble(status);
    for line in &trouble {
        out.push_str(&format!("{} {line}\n", ui.paint("!", red().bold())));
    }
    if !trouble.is_empty() {
        out.push('\n');
    }
    let width = status.agents.iter().map(|agent| agent.name.len()).max().unwrap_or(0).max(9);
    out.push_str(&line(&status.runner, width, ui));
    for agent in &status.agents {
        out.push_str(&line(agent, width, ui));
    }
    let mut row =
        |key: &str, text: String| out.push_str(&format!("{} {text}\n", ui.paint(&format!("{key:width$}"), bold())));
    let queue = &status.queue;
    let age = queue
        .oldest_queued_ms
        .map_or(String::new(), |ms| format!(", the oldest for {}", quantity::duration(since(ms))));
    row("queue", format!("{} running, {} queued{age}", queue.running, queue.queued));
    if let Some(money) = &status.money {
        row("money", money.line());
    }
    row("limits", limits_text(status));
    if let Some(hardening) = &status.hardening {
        row("hardening", hardening.line());
    }
    let on = |yes: bool, good: &'static str, bad: &'static str| if yes { good } else { bad };
    row(
        "host",
        format!(
            "{}, {}, {}, systemd {}",
            on(status.host.linger, "lingering (runs without a login)", "NOT lingering (ends at logout)"),
            on(status.host.bus, "bus", "no bus daemon"),
            on(status.host.journal_readable, "journal", "journal unreadable (own log file)"),
            status.systemd.as_deref().and_then(|text| text.split_whitespace().next()).unwrap_or("?"),
        ),
    );
    if !status.last.is_empty() {
        out.push_str(&format!("\n{}\n", ui.paint("last reviews", bold())));
        for job in &status.last {
            out.push_str(&format!("  {}\n", job_line(job, ui)));
        }
    }
    out
}

/// What needs somebody's attention, each with its remedy.
fn trouble(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> = status.problems.iter().map(|problem| plain::one_line(problem, 1000)).collect();
    if status.runner.word == "absent" {
        lines.push("cicdctl is not set up for this user; `cicdctl init` does it".into());
        return lines;
    }
    if let Some(why) = &status.host.uncaged {
        lines.push(format!("engines are not caged, and nothing restarts the runner: {why}"));
        return lines;
    }
    lines.extend(status.money.iter().flat_map(|money| money.trouble(&TimeZone::system())));
    for unit in std::iter::once(&status.runner).chain(&status.agents) {
        // An agent may be called `runner`, too. A start by `systemctl` would not clear the start limit of a service
        // that failed.
        let is_runner = std::ptr::eq(unit, &status.runner);
        let ambiguous = is_runner && status.agents.iter().any(|agent| agent.name == unit.name);
        let start = format!("cicdctl agent start {}", unit.name);
        let (restart, start) = match (is_runner, ambiguous) {
            (false, _) => (start.clone(), start),
            (true, false) => ("cicdctl init".to_owned(), start),
            (true, true) => ("cicdctl init".to_owned(), "cicdctl init".to_owned()),
        };
        match unit.word {
            // It says what it waits for.
            "starting" if let Some(text) = &unit.service.status_text => {
                lines.push(format!("{} is starting: {}", unit.name, plain::visible(text)));
            }
            "absent" => lines.push(format!("{} has no unit; `cicdctl init` and `cicdctl apply` write it", unit.name)),
            "failed" | "crash-loop" => {
                let mut cause = if unit.service.is_failed() || unit.word == "crash-loop" {
                    unit.service.failure()
                } else {
                    unit.socket.failure()
                };
                if let Some(more) = &unit.cause {
                    cause = format!("{cause}: {more}");
                }
                lines.push(format!(
                    "{} {}: {cause}; see `cicdctl logs {}`, then `{start}`",
                    unit.name,
                    unit.word.to_uppercase(),
                    unit.name
                ));
            }
            "ready" | "working" if status.set_up && unit.socket.load == "not-found" => {
                lines.push(format!("{} has lost its socket; `{restart}` writes it", unit.name));
            }
            "stopped" => lines.push(format!("{} is stopped and its socket does not listen; `{start}`", unit.name)),
            "asleep" if unit.watch.is_some() => {
                lines.push(format!("{} is to watch and does not run; `{start}`", unit.name));
            }
            _ => {}
        }
        if let Some((watch, trouble)) = unit.watch.as_ref().and_then(|watch| Some((watch, watch.state.trouble()?))) {
            lines.push(format!("{} cannot watch {}: {trouble}", unit.name, watch.repo));
        }
    }
    if !status.host.linger {
        lines.push(format!(
            "nothing runs after logout: `loginctl enable-linger {}` (root) or `cicdctl init`",
            status.user
        ));
    }
    lines
}

fn line(unit: &Unit, width: usize, ui: &Ui) -> String {
    let style = match unit.word {
        "ready" | "working" | "asleep" | "foreground" => green(),
        "failed" | "crash-loop" | "absent" => red(),
        _ => yellow(),
    };
    let state = &unit.service;
    let mut parts = Vec::new();
    if state.is_active() {
        if let Some(since_usec) = state.since_usec {
            parts.push(format!(
                "for {}",
                quantity::duration(since(i64::try_from(since_usec / 1000).unwrap_or(i64::MAX)))
            ));
        }
        if let Some(memory) = state.memory {
            parts.push(format!(
                "memory {}{}",
                Size(memory >> 20 << 20),
                state.memory_max.map_or(String::new(), |max| format!("/{}", Size(max)))
            ));
        }
        if let Some(nsec) = state.cpu_nsec {
            let quota = state.cpu_quota_usec.map_or(String::new(), |usec| format!(" of {}%", usec / 10_000));
            parts.push(format!("cpu {}{quota}", quantity::duration(nsec / 1_000_000)));
        }
        if let (Some(tasks), Some(max)) = (state.tasks, state.tasks_max) {
            parts.push(format!("tasks {tasks}/{max}"));
        }
        if let Some(restarts) = state.restarts.filter(|restarts| *restarts > 0) {
            parts.push(quantity::count(restarts as usize, "restart"));
        }
    } else if unit.socket.is_active() && matches!(unit.word, "asleep" | "paused" | "draining") {
        parts.push("its socket wakes it".into());
    }
    let mut text = format!(
        "{} {}  {}\n",
        ui.paint(&format!("{:width$}", unit.name), bold()),
        ui.paint(&format!("{:10}", unit.word), style),
        parts.join("  ")
    );
    if let Some(project) = &unit.project {
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&format!("           {project}"), dim())));
    }
    if let Some(pause) = &unit.pause {
        let words = format!("           {}", plain::visible(&pause.in_words()));
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&words, yellow())));
    }
    if let Some(watch) = &unit.watch {
        let words = format!("           watches {}", watch.in_words());
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&words, dim())));
    }
    text
}

fn limits_text(status: &Status) -> String {
    let all: Vec<&LimitState> =
        std::iter::once(&status.runner).chain(&status.agents).flat_map(|unit| &unit.limits).collect();
    let mut words = Vec::new();
    for name in ["memory", "cpu", "tasks"] {
        let mut of_name = all.iter().filter(|limit| limit.name == name).peekable();
        if of_name.peek().is_none() {
            continue;
        }
        // One that is not in force is what people need to know.
        let states: Vec<Option<bool>> = of_name.map(|limit| limit.enforced).collect();
        let word = if states.contains(&Some(false)) {
            "declared only"
        } else if states.contains(&Some(true)) {
            "enforced"
        } else {
            "enforced when it runs"
        };
        words.push(format!("{name} {word}"));
    }
    let mut text = words.join(", ");
    if let Some(remedy) = &status.limits_remedy {
        text.push_str(&format!("; {remedy}"));
    }
    if text.is_empty() { "none".into() } else { text }
}

/// A job on one line.
pub fn job_line(job: &Job, ui: &Ui) -> String {
    let (word, style) = match (job.state, job.outcome) {
        (JobState::Ended, Some(Outcome::Reviewed)) => ("reviewed", green()),
        (JobState::Ended, Some(outcome @ (Outcome::Failed | Outcome::Partial))) => (outcome.as_str(), red()),
        (JobState::Ended, Some(outcome)) => (outcome.as_str(), yellow()),
        (state, _) => (state.as_str(), yellow()),
    };
    let owner = job.agent.as_ref().map_or("runner", AgentName::as_str);
    let when = quantity::duration(since(job.ended_ms.unwrap_or(job.created_ms)));
    let reason =
        job.reason.as_ref().map_or(String::new(), |reason| format!(": {}", reason.lines().next().unwrap_or_default()));
    let is_again = job.attempts > 0 && job.deferrals == 0;
    let least = if is_again { 0 } else { 60_000 };
    let waits = job.not_before_ms.filter(|until| job.state == JobState::Queued && *until > now_ms() + least);
    let waits = match (&job.waits_because, waits) {
        (Some(why), _) => format!(" ({why})"),
        (None, Some(until)) if is_again => format!(" (next try at {})", quantity::time(until)),
        (None, Some(until)) => format!(" (not before {})", quantity::time(until)),
        (None, None) => String::new(),
    };
    let shown = plain::visible(&format!("{}{waits}{reason}", job.request.subject()));
    let shown = plain::cut(&shown, ui.width().saturating_sub(60).max(40));
    format!("{} {} {owner:12} {when:>11} ago  {shown}", &job.id, ui.paint(&format!("{word:10}"), style))
}

fn since(ms: i64) -> u64 {
    u64::try_from(now_ms() - ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_whose_file_is_gone_is_absent_whatever_still_runs() {
        let unit =
            |active: &str, load: &str| UnitState { active: active.into(), load: load.into(), ..Default::default() };
        let active = unit("active", "loaded");
        assert_eq!(word(Some(&active), Some(&active)), "ready");
        assert_eq!(word(Some(&active), Some(&unit("active", "not-found"))), "absent");
        assert_eq!(word(Some(&unit("inactive", "loaded")), Some(&unit("inactive", "not-found"))), "absent");
        assert_eq!(word(Some(&active), Some(&unit("inactive", "not-found"))), "ready", "it has none");
        assert_eq!(word(Some(&unit("inactive", "loaded")), Some(&active)), "asleep");
    }

    #[test]
    fn who_has_only_jobs_that_wait_does_not_work() {
        assert!(is_working("1 running, 0 queued") && is_working("12 running, 3 queued; watching a/b"));
        assert!(!is_working("0 running, 3 queued; paused by alice") && !is_working("idle; watching a/running"));
    }
}
