//! What there is to show: units, queue, last reviews, money, disk, host.

use anyhow::Result;
use jiff::Zoned;
use schemars::JsonSchema;
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
use crate::forge::github::credentials::SOON;
use crate::host::Host;
use crate::journal;
use crate::plain;
use crate::probe::remedy;
use crate::quantity;
use crate::review;
use crate::runner::Scope;
use crate::store::{self, Pause, Slice, Store, Watch, WatchState};
use crate::systemd::{self, Linger, Manager, UnitState};
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};

/// Everything that is shown, and what `--json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    pub(super) version: &'static str,
    /// What could not be looked at, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) problems: Vec<String>,
    pub(super) user: String,
    /// `init` was here.
    #[serde(skip)]
    pub(super) set_up: bool,
    pub(super) systemd: Option<String>,
    pub runner: Unit,
    pub agents: Vec<Unit>,
    pub queue: Queue,
    /// What ended in the last hour, in slices of five minutes, the oldest first.
    pub last_hour: Vec<Slice>,
    pub last: Vec<Job>,
    /// Where something was spent today, and there are caps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) money: Option<Today>,
    /// Credentials that end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) credentials: Vec<Credential>,
    pub(super) disk: Disk,
    /// Where there are units to be confined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hardening: Option<Hardening>,
    /// What puts limits in force that are declared only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limits_remedy: Option<String>,
    pub(super) host: HostState,
}

/// As its forge has said last.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Credential {
    /// Of the secret.
    pub(super) name: String,
    pub(super) expires_ms: i64,
}

impl Credential {
    /// What is to be done soon, or now.
    pub(super) fn trouble(&self, now_ms: i64) -> Option<String> {
        let left = self.expires_ms - now_ms;
        let when = quantity::time(self.expires_ms);
        let what = match u64::try_from(left) {
            Ok(left) if i128::from(left) < SOON.as_millis() => {
                format!("ends on {when}, in {}", quantity::duration(left))
            }
            Ok(_) => return None,
            Err(_) => format!("has ended on {when}"),
        };
        Some(format!("the credential `{0}` {what}; `cicdctl secret set {0}` stores another", self.name))
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Disk {
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

#[derive(Debug, Serialize, JsonSchema)]
pub struct Unit {
    pub name: String,
    /// One word for people: `working`, `ready`, `asleep`, `stopped`, `failed`, `crash-loop`, `restarting`, `absent`,
    /// `foreground`, `paused`, `draining`.
    pub word: &'static str,
    pub service: UnitState,
    /// Of one processor, in percent: since the service has started, or since the last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    pub(super) socket: UnitState,
    pub(super) socket_path: String,
    pub project: Option<String>,
    pub(super) watch: Option<Watching>,
    /// Why it begins no job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pause: Option<Pause>,
    /// Why it is not up, beyond what systemd says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<String>,
    pub(super) limits: Vec<LimitState>,
    /// Its own file is wrong, so its jobs wait.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) misconfigured: bool,
}

impl Unit {
    /// The limit of that name, unless it is known that nothing enforces it.
    fn limit(&self, name: &str, declared: Option<u64>) -> Option<f64> {
        let nothing_does = self.limits.iter().any(|limit| limit.name == name && limit.enforced == Some(false));
        declared.filter(|_| !nothing_does).map(|limit| limit as f64)
    }

    /// In bytes.
    pub fn memory_limit(&self) -> Option<f64> {
        self.limit("memory", self.service.memory_max)
    }

    /// In percent of one processor.
    pub fn cpu_limit(&self) -> Option<f64> {
        self.limit("cpu", self.service.cpu_quota_usec).map(|usec| usec / 10_000.0)
    }

    pub fn tasks_limit(&self) -> Option<f64> {
        self.limit("tasks", self.service.tasks_max)
    }

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
#[derive(Debug, Clone, Serialize, JsonSchema)]
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
pub async fn watch_of(store: Option<&Store>, agent: &Agent) -> Result<Option<Watching>> {
    let Some(repo) = agent.watches() else { return Ok(None) };
    let state = match store {
        Some(store) => store.watch_state(&Watch::new(agent.name.clone(), repo)).await?,
        None => WatchState::default(),
    };
    Ok(Some(Watching { repo: repo.to_owned(), interval: agent.config.watch.interval.to_string(), state }))
}

/// A limit that was asked for, and what the kernel knows of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LimitState {
    pub name: &'static str,
    pub(super) declared: u64,
    /// `None` where it cannot be told, as nothing runs in the unit.
    pub(super) enforced: Option<bool>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Queue {
    pub queued: u64,
    pub running: u64,
    pub oldest_queued_ms: Option<i64>,
    /// When the first of those is tried that wait for their time.
    pub next_try_ms: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct HostState {
    pub(super) linger: bool,
    pub(super) bus: bool,
    pub(super) journal_readable: bool,
    pub(super) controllers: Vec<String>,
    /// Why engines run as plain child processes, where they do.
    pub(super) uncaged: Option<String>,
}

pub(super) async fn gather(args: &Args, last: u32, host: &Host) -> Result<Status> {
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
    let manager = match host.manager_to_ask().await {
        Ok(manager) => manager,
        // A runner in the foreground has its socket and its store all the same.
        Err(error) if host.paths.runner_socket().exists() => {
            return in_foreground(host, &config, only, last, &error, store.as_ref(), problems).await;
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
            found.watch = watch_of(store, agent).await.ok().flatten();
        } else {
            found.misconfigured = host.paths.agent_file(name).exists();
        }
        found.explain(host, store, &Scope::Agent(name.clone())).await;
        anyhow::Ok(found)
    });
    let (runner, agents, version) = tokio::join!(runner, futures_util::future::try_join_all(others), manager.version());
    let mut runner = runner?;
    runner.socket_path = host.paths.runner_socket().display().to_string();
    runner.explain(host, store, &Scope::Runner).await;
    let Work { queue, last_hour, last, money, credentials } =
        told(work(store, &config, only, last).await, &mut problems).unwrap_or_default();
    let agents = agents?;
    let version = version.ok();
    let services: Vec<&UnitState> = std::iter::once(&runner).chain(&agents).map(|unit| &unit.service).collect();
    let hardening = version.as_deref().map(|version| confinement::hardening(host, &config, version, &services));
    let all_limits = std::iter::once(&runner).chain(&agents).flat_map(|unit| &unit.limits);
    let limits_remedy = all_limits.clone().any(|limit| limit.enforced == Some(false)).then(|| {
        let missing = remedy::missing(controllers, &["cpu", "memory", "pids"]);
        remedy::controllers(&missing, remedy::Around::look(), host.uid)
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
        last_hour,
        last,
        money,
        credentials,
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

/// What the store has to say.
#[derive(Default)]
struct Work {
    queue: Queue,
    last_hour: Vec<Slice>,
    last: Vec<Job>,
    money: Option<Today>,
    credentials: Vec<Credential>,
}

async fn work(store: Option<&Store>, config: &Config, only: Option<AgentName>, last: u32) -> Result<Work> {
    let Some(store) = store else { return Ok(Work::default()) };
    let store::Queue { queued, running, oldest_queued_ms, next_try_ms } = store.queue(only.clone()).await?;
    Ok(Work {
        queue: Queue { queued, running, oldest_queued_ms, next_try_ms },
        last_hour: store.history(only.clone(), 12, 300_000).await?,
        last: store.jobs(only, last).await?,
        money: cost::today(store, &config.budget, &Zoned::now()).await?,
        credentials: store
            .expiries()
            .await?
            .into_iter()
            .map(|(name, expires_ms)| Credential { name, expires_ms })
            .collect(),
    })
}

/// The status where no user manager is: a runner that somebody started by hand.
async fn in_foreground(
    host: &Host,
    config: &Config,
    only: Option<AgentName>,
    newest: u32,
    error: &anyhow::Error,
    store: Option<&Store>,
    mut problems: Vec<anyhow::Error>,
) -> Result<Status> {
    let answers = Client::new(host.paths.runner_socket()).info().await.is_ok();
    let Work { queue, last_hour, last, money, credentials } =
        told(work(store, config, only, newest).await, &mut problems).unwrap_or_default();
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
            cpu_percent: None,
            socket: UnitState::default(),
            socket_path: host.paths.runner_socket().display().to_string(),
            project: None,
            watch: None,
            pause: paused(store, &Scope::Runner).await,
            cause: None,
            limits: Vec::new(),
            misconfigured: false,
        },
        agents: Vec::new(),
        queue,
        last_hour,
        last,
        money,
        credentials,
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
        cpu_percent: cpu_percent(&service),
        name,
        service,
        socket,
        socket_path: String::new(),
        project: None,
        watch: None,
        pause: None,
        cause: None,
        misconfigured: false,
    })
}

/// On average since it has started.
fn cpu_percent(service: &UnitState) -> Option<f64> {
    let (used, since_usec) = (service.cpu_nsec?, service.since_usec?);
    let ran_ms = since(i64::try_from(since_usec / 1000).ok()?).max(1);
    service.is_active().then(|| used as f64 / 1e6 / ran_ms as f64 * 100.0)
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

/// A runner that is at work and so many agents, the fourth of which has failed.
#[cfg(test)]
pub fn sample(agents: usize) -> Status {
    use crate::store::now_ms;
    let unit = |name: &str, word: &'static str| {
        let active = if matches!(word, "ready" | "working") { "active" } else { "inactive" };
        Unit {
            name: name.into(),
            word,
            service: UnitState {
                name: format!("cicd-{name}.service"),
                load: "loaded".into(),
                active: if word == "failed" { "failed" } else { active }.into(),
                result: Some(if word == "failed" { "exit-code" } else { "success" }.into()),
                exit_status: Some(203),
                since_usec: Some((now_ms() as u64 - 60_000) * 1000),
                memory: Some(64 << 20),
                memory_max: Some(512 << 20),
                cpu_nsec: Some(15_000_000_000),
                cpu_quota_usec: Some(250_000),
                tasks: Some(5),
                tasks_max: Some(64),
                ..UnitState::default()
            },
            cpu_percent: Some(24.0),
            socket: UnitState { active: "active".into(), load: "loaded".into(), ..UnitState::default() },
            socket_path: format!("/run/{name}.sock"),
            project: Some(format!("/home/alice/{name}")),
            watch: None,
            pause: None,
            cause: None,
            limits: Vec::new(),
            misconfigured: false,
        }
    };
    let job = |id: &str, state: &str, outcome: Option<&str>| -> Job {
        serde_json::from_value(serde_json::json!({
            "id": id, "state": state, "outcome": outcome, "agent": "agent-001", "created_ms": now_ms() - 90_000,
            "request": {"pr": 42, "repo": "acme/shop"}, "attempts": 1, "deferrals": 0,
        }))
        .expect("a job")
    };
    Status {
        version: "0.1.0",
        problems: Vec::new(),
        user: "alice".into(),
        set_up: true,
        systemd: Some("257.13-1~deb13u1".into()),
        runner: unit("runner", "working"),
        agents: (0..agents)
            .map(|n| unit(&format!("agent-{n:03}"), if n == 3 { "failed" } else { ["asleep", "ready"][n % 2] }))
            .collect(),
        queue: Queue { queued: 2, running: 1, oldest_queued_ms: Some(now_ms() - 5000), next_try_ms: None },
        last_hour: vec![Slice { reviewed: 3, failed: 1, other: 0 }; 12],
        last: vec![
            job("01M8D7FJ7EQ8KTF8ENZZHSQACW", "ended", Some("reviewed")),
            job("01M8D7FJ0G9NP7MTCYCBV65A02", "running", None),
        ],
        money: None,
        credentials: Vec::new(),
        disk: Disk { line: "75 GB free".into(), tight: None, free: None, sizes: None },
        hardening: None,
        limits_remedy: None,
        host: HostState { linger: true, bus: true, journal_readable: true, controllers: Vec::new(), uncaged: None },
    }
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
    fn a_credential_is_told_of_when_its_end_is_in_sight() {
        const DAY: i64 = 24 * 3600 * 1000;
        let credential = Credential { name: "github-token".into(), expires_ms: 100 * DAY };
        assert_eq!(credential.trouble(86 * DAY), None);
        let told = |now| credential.trouble(now).unwrap();
        assert!(told(97 * DAY).contains("ends on 1970-04-11"), "{}", told(97 * DAY));
        assert!(told(101 * DAY).starts_with("the credential `github-token` has ended on"), "{}", told(101 * DAY));
        assert!(told(101 * DAY).ends_with("`cicdctl secret set github-token` stores another"));
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
