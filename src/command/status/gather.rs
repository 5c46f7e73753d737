//! What there is to show: units, queue, last reviews, money, disk, host.

use anyhow::Result;
use jiff::Zoned;
use serde::Serialize;

use super::Args;
use super::show::since;
use crate::agent::AgentName;
use crate::api::Job;
use crate::api::client::Client;
use crate::cgroup;
use crate::command::agent::paused;
use crate::command::cause::cause;
use crate::command::confinement::{self, Hardening};
use crate::command::cost::{self, Today};
use crate::config::{Agent, Config};
use crate::disk;
use crate::error::Fail;
use crate::host::Host;
use crate::journal;
use crate::plain;
use crate::probe::remedy;
use crate::quantity;
use crate::review;
use crate::runner::Scope;
use crate::store::{self, Pause, Store, Watch, WatchState};
use crate::systemd::{self, Linger, Manager, UnitState};
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};

/// Everything that is shown, and what `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
    pub(super) user: String,
    /// `init` was here.
    #[serde(skip)]
    pub(super) set_up: bool,
    pub(super) systemd: Option<String>,
    pub(super) runner: Unit,
    pub(super) agents: Vec<Unit>,
    pub(super) queue: Queue,
    pub(super) last: Vec<Job>,
    /// Where something was spent today, and there are caps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) money: Option<Today>,
    pub(super) disk: Disk,
    /// Where there are units to be confined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hardening: Option<Hardening>,
    /// What puts limits in force that are declared only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits_remedy: Option<String>,
    pub(super) host: HostState,
}

#[derive(Debug, Serialize)]
pub(super) struct Disk {
    #[serde(skip)]
    pub(super) line: String,
    /// Why nothing begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tight: Option<String>,
    pub(super) free: Option<u64>,
    /// As it was measured last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sizes: Option<disk::measure::Sizes>,
}

impl Disk {
    fn now(host: &Host, config: &Config) -> Disk {
        Disk {
            line: crate::command::gc::line(host),
            tight: disk::tight(&host.paths, config.disk.min_free),
            free: disk::room(&host.paths.state_dir).ok().map(|room| room.free),
            sizes: disk::measure::remembered(&host.paths),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Unit {
    pub(super) name: String,
    /// One word for people: `working`, `ready`, `asleep`, `stopped`, `failed`, `crash-loop`, `restarting`, `absent`,
    /// `foreground`, `paused`, `draining`.
    pub(super) word: &'static str,
    pub(super) service: UnitState,
    pub(super) socket: UnitState,
    pub(super) socket_path: String,
    pub(super) project: Option<String>,
    pub(super) watch: Option<Watching>,
    /// Why it begins no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pause: Option<Pause>,
    /// Why it is not up, beyond what systemd says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    pub(super) limits: Vec<LimitState>,
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
    pub(super) repo: String,
    /// As it is configured, such as `1m`.
    pub(super) interval: String,
    #[serde(flatten)]
    pub(super) state: WatchState,
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
pub(super) struct LimitState {
    pub(super) name: &'static str,
    pub(super) declared: u64,
    /// `None` where it cannot be told, as nothing runs in the unit.
    pub(super) enforced: Option<bool>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Queue {
    pub(super) queued: u64,
    pub(super) running: u64,
    pub(super) oldest_queued_ms: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(super) struct HostState {
    pub(super) linger: bool,
    pub(super) bus: bool,
    pub(super) journal_readable: bool,
    pub(super) controllers: Vec<String>,
    /// Why engines run as plain child processes, where they do.
    pub(super) uncaged: Option<String>,
}

pub(super) async fn gather(args: &Args, host: &Host) -> Result<Status> {
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
        disk: Disk::now(host, &config),
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
        disk: Disk::now(host, config),
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
        // After the first end it has only been unlucky.
        ("activating", _) if service.sub == "auto-restart" && service.restarts == Some(0) => "restarting",
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
    cgroup::read(&group, "cgroup.controllers")
        .map(|text| text.split_whitespace().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// Compares what was declared with what the unit's control group says.
fn limits(service: &UnitState, controllers: &[String]) -> Vec<LimitState> {
    let group = service.control_group.as_deref();
    let first_number =
        |file: &str| -> Option<u64> { cgroup::read(group?, file)?.split_whitespace().next()?.parse().ok() };
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

    #[test]
    fn one_end_is_no_crash_loop() {
        let socket = UnitState { load: "loaded".into(), active: "active".into(), ..UnitState::default() };
        let service = |restarts| UnitState {
            load: "loaded".into(),
            active: "activating".into(),
            sub: "auto-restart".into(),
            restarts: Some(restarts),
            ..UnitState::default()
        };
        assert_eq!(word(Some(&service(0)), Some(&socket)), "restarting");
        assert_eq!(word(Some(&service(1)), Some(&socket)), "crash-loop");
    }
}
