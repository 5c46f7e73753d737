//! The units that should exist for a configuration, as text. Pure but for `dir`.

pub mod dir;
pub mod escape;
pub mod harden;
pub mod host;
pub mod plan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use askama::Template;

use crate::agent::AgentName;
use crate::config::{Agent, Config, Limits};
use crate::secret::Value;
use escape::{BelowHome, CommandLine};

pub const RUNNER_SERVICE: &str = "cicd-runner.service";
pub const RUNNER_SOCKET: &str = "cicd-runner.socket";
pub const SLICE: &str = "cicd.slice";
pub const GC_SERVICE: &str = "cicd-gc.service";
pub const GC_TIMER: &str = "cicd-gc.timer";
/// Every unit of ours that can be loaded, as patterns for `ListUnitsByPatterns`.
pub const PATTERNS: [&str; 6] =
    ["cicd-runner.*", "cicd-agent@*", "cicd-job-*", "cicd-probe-*", "cicd.slice", "cicd-gc.*"];

/// Where things are, as the unit files must say it.
#[derive(Debug, Clone)]
pub struct Places {
    /// Absolute path of the `cicdctl` executable.
    pub program: PathBuf,
    /// `~/.config/systemd/user`
    pub unit_dir: PathBuf,
    /// `~/.config/environment.d/cicd-toolkit.conf`
    pub environment_file: PathBuf,
    /// What `%h` is in a unit.
    pub home: Option<PathBuf>,
    /// An administrator has set the host up for all its users: the units have what each of them needs.
    pub is_host_wide: bool,
    pub state_dir: PathBuf,
    pub cache_dir: PathBuf,
    /// Variables that a unit needs to find the same directories (XDG variables that are not at their default), and
    /// its PATH.
    pub environment: Vec<(String, String)>,
    /// Secrets that our file of environment.d has: they are nowhere else, so they are written again with it.
    pub secrets: Vec<(String, Value)>,
}

/// A file that should exist, with the header that tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    pub path: PathBuf,
    pub text: String,
    pub mode: u32,
}

/// Every file that `config` and `agents` call for.
pub fn files(config: &Config, agents: &[Agent], places: &Places) -> Result<Vec<UnitFile>> {
    let runner = Service::new(config, places, &config.runner.limits, &["run", "daemon"]);
    let agent = Service::new(config, places, &config.agents.limits, &["run", "agent", "--session-id", "%i"]);
    let is_host_wide = places.is_host_wide;
    let mut files = vec![
        unit(places, RUNNER_SERVICE, RunnerService { service: runner }.render(), "cicdctl apply")?,
        unit(places, RUNNER_SOCKET, RunnerSocket { is_host_wide }.render(), "cicdctl apply")?,
        unit(places, "cicd-agent@.service", AgentService { service: agent }.render(), "cicdctl apply")?,
        unit(places, "cicd-agent@.socket", AgentSocket { is_host_wide }.render(), "cicdctl apply")?,
        unit(places, SLICE, Slice {}.render(), "cicdctl apply")?,
    ];
    if let Some(every) = config.disk.gc.on_calendar() {
        let gc = Service::new(config, places, &config.runner.limits, &["gc", "--yes"]);
        files.push(unit(places, GC_SERVICE, GcService { service: gc }.render(), "cicdctl apply")?);
        files.push(unit(places, GC_TIMER, GcTimer { every }.render(), "cicdctl apply")?);
    }
    for agent in agents {
        let dropin = AgentDropIn { limits: limits(&agent.limits) };
        let name = dropin_name(&agent.name);
        files.push(unit(places, &name, dropin.render(), "cicdctl apply")?);
    }
    if !config.environment.is_empty() || !places.secrets.is_empty() {
        let mut environment: Vec<(String, String)> =
            config.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let secrets = places.secrets.iter().filter(|(name, _)| !config.environment.contains_key(name));
        environment.extend(secrets.map(|(name, value)| (name.clone(), value.reveal().to_owned())));
        let text = Environment { environment }.render().context("could not render the environment.d file")?;
        files.push(UnitFile {
            path: places.environment_file.clone(),
            text: plan::with_header(text.trim_start(), "cicdctl apply"),
            mode: 0o600,
        });
    }
    Ok(files)
}

/// The PATH of units.
pub fn search_path(home: &Path) -> String {
    format!("{}/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", home.display())
}

/// Path of an agent's drop-in below the unit directory.
pub fn dropin_name(agent: &AgentName) -> String {
    format!("{}.d/50-cicdctl.conf", agent.service())
}

fn unit(places: &Places, name: &str, text: askama::Result<String>, command: &str) -> Result<UnitFile> {
    let text = text.with_context(|| format!("could not render `{name}`: a value has a control character in it"))?;
    Ok(UnitFile { path: places.unit_dir.join(name), text: plan::with_header(&text, command), mode: 0o644 })
}

/// What both services have in common.
struct Service {
    command: CommandLine,
    environment: Vec<(String, BelowHome)>,
    stop_seconds: u64,
    limits: Vec<(&'static str, String)>,
    hardening: Vec<(&'static str, &'static str)>,
    writable: Vec<BelowHome>,
    is_host_wide: bool,
}

impl Service {
    fn new(config: &Config, places: &Places, of: &Limits, arguments: &[&str]) -> Self {
        let hardened = config.hardening.level != crate::config::Level::Off;
        let below_home = |text: &str| BelowHome::new(places.home.as_deref(), text);
        let writable = [&places.state_dir, &places.cache_dir];
        Service {
            command: CommandLine(
                std::iter::once(path_text(&places.program))
                    .chain(arguments.iter().map(|word| (*word).to_owned()))
                    .collect(),
            ),
            environment: places.environment.iter().map(|(name, value)| (name.clone(), below_home(value))).collect(),
            // The runner requeues what is left when its own time is up; systemd's comes after that.
            stop_seconds: config.runner.stop_timeout.0.as_secs() + 15,
            limits: limits(of),
            hardening: harden::directives(config.hardening.level).map(|d| (d.name, d.value)).collect(),
            writable: writable.into_iter().filter(|_| hardened).map(|path| below_home(&path_text(path))).collect(),
            is_host_wide: hardened && places.is_host_wide,
        }
    }
}

fn limits(of: &Limits) -> Vec<(&'static str, String)> {
    let Limits { cpu, cpu_weight, memory, swap, tasks, open_files } = of;
    let mut limits = Vec::new();
    let mut push = |name, value: Option<String>| {
        if let Some(value) = value {
            limits.push((name, value));
        }
    };
    push("CPUQuota", cpu.map(|cpu| cpu.to_string()));
    push("CPUWeight", cpu_weight.map(|weight| weight.to_string()));
    push("MemoryMax", memory.map(|memory| memory.to_string()));
    push("MemorySwapMax", swap.map(|swap| swap.to_string()));
    push("TasksMax", tasks.map(|tasks| tasks.to_string()));
    push("LimitNOFILE", open_files.map(|files| files.to_string()));
    // The templates write these as they are: digits and a unit, in which a percent sign is no specifier.
    limits
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

macro_rules! templates {
    ($($name:ident($path:literal) { $($field:ident: $type:ty),* })*) => {$(
        #[derive(Template)]
        #[template(path = $path, config = "templates/askama.toml")]
        struct $name { $($field: $type),* }
    )*};
}

templates! {
    RunnerSocket("cicd-runner.socket") { is_host_wide: bool }
    AgentSocket("cicd-agent@.socket") { is_host_wide: bool }
    Slice("cicd.slice") {}
    AgentDropIn("agent-dropin.conf") { limits: Vec<(&'static str, String)> }
    Environment("environment.env") { environment: Vec<(String, String)> }
    RunnerService("cicd-runner.service") { service: Service }
    AgentService("cicd-agent@.service") { service: Service }
    GcService("cicd-gc.service") { service: Service }
    GcTimer("cicd-gc.timer") { every: &'static str }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Level, Source};

    fn places() -> Places {
        Places {
            program: "/home/al ice/bin/100%/cicdctl".into(),
            unit_dir: "/home/al ice/.config/systemd/user".into(),
            environment_file: "/home/al ice/.config/environment.d/cicd-toolkit.conf".into(),
            home: Some("/home/al ice".into()),
            is_host_wide: false,
            state_dir: "/home/al ice/.local/state/cicd-toolkit".into(),
            cache_dir: "/home/al ice/.cache/cicd-toolkit".into(),
            environment: vec![("PATH".into(), "/home/al ice/bin:/usr/bin".into())],
            secrets: Vec::new(),
        }
    }

    fn text(files: &[UnitFile], name: &str) -> String {
        let file = files.iter().find(|file| file.path.ends_with(name)).unwrap();
        file.text.split_once("\n\n").unwrap().1.to_owned()
    }

    #[test]
    fn the_runner_is_a_notify_service_with_limits_and_hardening_and_nothing_is_misread() {
        let mut config = Config::default();
        config.hardening.level = Level::Off;
        let files = files(&config, &[], &places()).unwrap();
        assert_eq!(
            text(&files, "cicd-runner.service"),
            r#"[Unit]
Description=cicdctl runner: accepts code reviews, runs and publishes them
Requires=cicd-runner.socket
After=cicd-runner.socket
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=notify
ExecStart="/home/al ice/bin/100%%/cicdctl" run daemon
ExecReload=/bin/kill -HUP $MAINPID
Environment="PATH=%h/bin:/usr/bin"
WatchdogSec=60
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 78
TimeoutStopSec=105
KillMode=mixed
OOMPolicy=continue
Slice=cicd.slice
SyslogIdentifier=cicd-runner
CPUQuota=50%
CPUWeight=100
MemoryMax=1G
MemorySwapMax=256M
TasksMax=512
LimitNOFILE=65536

[Install]
WantedBy=default.target
"#
        );
    }

    #[test]
    fn gc_has_a_timer_as_often_as_the_configuration_says_and_the_lowest_priority() {
        let mut config = Config::default();
        let all = files(&config, &[], &places()).unwrap();
        assert!(text(&all, "cicd-gc.timer").contains("\nOnCalendar=daily\n"));
        let service = text(&all, "cicd-gc.service");
        for line in ["Type=oneshot", "Nice=19", "IOSchedulingClass=idle", "PrivateUsers=yes", "ProtectHome=read-only"] {
            assert!(service.contains(&format!("\n{line}\n")), "{line}: {service}");
        }
        assert!(service.contains("cicdctl\" gc --yes\n"), "{service}");
        config.disk.gc = config::Every::Off;
        assert!(files(&config, &[], &places()).unwrap().iter().all(|file| !file.path.to_string_lossy().contains("gc")));
    }

    #[test]
    fn the_agent_template_gets_its_instance_and_its_paths_are_writable() {
        let files = files(&Config::default(), &[], &places()).unwrap();
        let text = text(&files, "cicd-agent@.service");
        assert!(text.contains("cicdctl\" run agent --session-id %i\n"), "{text}");
        assert!(text.contains("\nPrivateUsers=yes\n") && text.contains("\nProtectHome=read-only\n"));
        assert!(text.contains("ReadWritePaths=\"-%h/.local/state/cicd-toolkit\"\n"));
    }

    #[test]
    fn an_agent_has_a_drop_in_with_its_limits_and_values_survive_in_environment_d() {
        let user = config::parse_config(&[Source {
            path: Path::new("c"),
            text: "[environment]\nHTTPS_PROXY = 'http://p:1/$x\"%'\n",
        }])
        .unwrap();
        let source = Source { path: Path::new("a"), text: "[limits]\ncpu = \"10%\"\nmemory = \"64M\"\n" };
        let agent = config::parse_agent(&"myapp".parse().unwrap(), source, &user).unwrap();
        let files = files(&user, &[agent], &places()).unwrap();
        let dropin = text(&files, "cicd-agent@myapp.service.d/50-cicdctl.conf");
        assert!(dropin.starts_with("[Service]\nCPUQuota=10%\n") && dropin.contains("\nMemoryMax=64M\n"), "{dropin}");
        assert_eq!(text(&files, "environment.d/cicd-toolkit.conf"), "HTTPS_PROXY=\"http://p:1/$$x\\\"%\"\n");
        assert!(files.iter().any(|file| file.mode == 0o600));
    }

    #[test]
    fn a_secret_that_is_in_environment_d_stays_there_and_is_not_shown() {
        let secrets = vec![("GITHUB_TOKEN".to_owned(), Value::new("c4n$4ry"))];
        let places = Places { secrets, ..places() };
        let files = files(&Config::default(), &[], &places).unwrap();
        let file = files.iter().find(|file| file.path == places.environment_file).unwrap();
        assert_eq!(text(&files, "environment.d/cicd-toolkit.conf"), "GITHUB_TOKEN=\"c4n$$4ry\"\n");
        assert_eq!(file.mode, 0o600);
        let found = crate::secret::environment::secrets(&file.text);
        assert_eq!(found[0].value.as_ref(), Some(&places.secrets[0].1));
        let old = plan::with_header("GITHUB_TOKEN=\"c4n-old\"\n", "cicdctl apply");
        let old = plan::Present { path: file.path.clone(), authorship: plan::authorship(&old), text: old };
        let plan = plan::Plan::new(files.clone(), &[old], false);
        let shown = plan.describe(true);
        assert!(shown.contains("update") && shown.contains("[secret]") && !shown.contains("c4n"), "{shown}");
    }
}
