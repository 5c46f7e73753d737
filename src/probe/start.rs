//! Makes a unit with the properties of a service or a cage around `cicdctl run probe`, and takes its answer.

use std::collections::HashMap;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use zbus::Fd;
use zbus::wire::{OwnedVariant, Variant};

use super::verdict::Declared;
use super::{Answer, Exceeded, Request, What};
use crate::cage::sandbox::{self, Around};
use crate::cage::{Input, Order};
use crate::config::{Config, EngineName};
use crate::diff::Diff;
use crate::engine::{Bundle, CommandSpec, EngineSpec};
use crate::files;
use crate::host::Host;
use crate::systemd::{Manager, Verb};

/// After this a probe is ended; it takes less than two seconds where the machine has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

type Properties = Vec<(String, Variant<'static>)>;

/// The unit could not be started, and so nothing was tried. systemd's status of a unit that it could not build.
#[derive(Debug)]
pub struct Refusal {
    pub cause: String,
    /// 217, 218 or 226: what is asked of the kernel is not to be had.
    pub is_for_want_of_sandbox: bool,
}

/// The answer from inside, or why there is no inside.
pub type Probed<T> = Result<T, Refusal>;

/// Tries from inside of a unit with the properties that `unit` has now, whatever file or drop-in they come from.
pub async fn service(host: &Host, manager: &Manager, unit: &str) -> Result<Probed<(Answer, Declared)>> {
    let found = manager.properties(unit).await?;
    let mut properties = Properties::new();
    for (name, value) in copied(&found) {
        properties.push((name.to_owned(), value.try_clone()?.into()));
    }
    let number = |name: &str| found.get(name).and_then(|value| u64::try_from(&**value).ok()).filter(|n| *n != u64::MAX);
    let declared =
        Declared { memory: number("MemoryMax"), cpu_usec: number("CPUQuotaPerSecUSec"), tasks: number("TasksMax") };
    let marker = Marker::new("/tmp")?;
    let paths = vec![
        (What::WriteHome, host.paths.home.join(file_name())),
        (What::WriteSystem, Path::new("/usr").join(file_name())),
        (What::SharedTmp, marker.path()),
    ];
    let request = Request { peer: std::process::id(), paths, port: None, variables: None };
    properties.push(command(host, &["run", "probe"]));
    let answer = start(manager, "service", properties, Some(&request)).await?;
    Ok(answer.map(|answer| (answer, declared)))
}

/// Properties that confine or limit, as the manager gives them and takes them. What is at its default is left out: it is
/// the default of a transient unit, too.
fn copied(found: &HashMap<String, OwnedVariant>) -> Vec<(&'static str, &OwnedVariant)> {
    let names = crate::systemd::CONFINING.iter().chain(&LIMITING);
    names.filter_map(|name| Some((*name, found.get(*name).filter(|value| is_set(value))?))).collect()
}

const LIMITING: [&str; 6] =
    ["CPUQuotaPerSecUSec", "CPUWeight", "MemoryMax", "MemorySwapMax", "TasksMax", "LimitNOFILE"];

fn is_set(value: &Variant<'_>) -> bool {
    match value {
        Variant::U64(number) => *number != u64::MAX,
        Variant::Array(list) => !list.is_empty(),
        // A list and whether it is one of what is allowed; empty and not: no restriction.
        Variant::Structure(parts) => {
            !matches!(parts.fields(), [Variant::Bool(false), Variant::Array(list)] if list.is_empty())
        }
        _ => true,
    }
}

/// Tries from inside of a cage, as it is made for a job by `config`.
pub async fn cage(host: &Host, manager: &Manager, config: &Config) -> Result<Probed<(Answer, Declared)>> {
    // Where nothing is set up there is no directory but that of the runtime.
    let parent = [&host.paths.state_dir, &host.paths.runtime_dir].into_iter().find(|dir| dir.is_dir());
    let parent = parent.context("there is neither a state nor a runtime directory")?;
    let dir = tempfile::Builder::new()
        .prefix(".cicdctl-probe-")
        .tempdir_in(parent)
        .with_context(|| format!("could not make a directory in `{}`", parent.display()))?;
    for name in ["scratch", "out", "checkout", "tmp", "engine-home"] {
        files::make_dir(&dir.path().join(name), 0o700)?;
    }
    let around = Around::of(manager).await?;
    let input = input(config, dir.path().join("engine-home"));
    let hidden = host.paths.beside_home();
    let order = order(config, dir.path(), &input, &host.program, &hidden);
    let (marker, memory) = (Marker::new("/tmp")?, Marker::new("/dev/shm")?);
    let listener =
        std::net::TcpListener::bind(("127.0.0.1", 0)).context("could not listen on the loopback interface")?;
    let made = host.paths.home.join(file_name());
    let request = Request {
        peer: std::process::id(),
        paths: forbidden(host, made.clone(), &[(What::SharedTmp, marker.path()), (What::SharedMemory, memory.path())]),
        port: Some(listener.local_addr()?.port()),
        variables: Some(sandbox::variables(&order)),
    };
    let mut properties: Properties = sandbox::with_command(&order, &["run", "probe"], true, PATIENCE, &around)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    properties.retain(|(name, _)| name != "LogExtraFields");
    let answer: Probed<Answer> = start(manager, "cage", properties, Some(&request)).await?;
    let limits = order.limits;
    let declared = Declared {
        memory: Some(limits.memory.0),
        cpu_usec: limits.cpu.map(|cpu| cpu.usec_per_sec()),
        tasks: Some(u64::from(limits.tasks)),
    };
    Ok(answer.map(|mut answer| {
        // A cage has a home of its own, in memory: what it wrote there has reached nobody.
        if !made.exists() {
            for attempt in answer.attempts.iter_mut().filter(|attempt| attempt.what == What::WriteHome) {
                attempt.got = super::Got::Refused("a home of its own".into());
            }
        }
        (answer, declared)
    }))
}

/// What is there and none of a cage's business.
fn forbidden(host: &Host, made: PathBuf, markers: &[(What, PathBuf)]) -> Vec<(What, PathBuf)> {
    let paths = &host.paths;
    let run = &paths.runtime_dir;
    let mut agents = vec![(What::ReadState, paths.state_dir.join("agents"))];
    for name in host.agent_names().unwrap_or_default().into_iter().flatten() {
        agents.push((What::AgentSocket, paths.agent_socket(&name)));
        agents.push((What::ReadState, paths.agent_state(&name)));
        agents.push((What::ReadConfiguration, paths.agent_file(&name)));
    }
    let there = vec![
        (What::ReadCredentials, paths.credentials_dir()),
        (What::ReadConfiguration, paths.config_file()),
        (What::ReadState, paths.store()),
        (What::RunnerSocket, paths.runner_socket()),
        (What::UserBus, run.join("bus")),
        (What::ManagerSocket, run.join("systemd/private")),
        (What::SystemBus, PathBuf::from("/run/dbus/system_bus_socket")),
    ];
    let there = there.into_iter().chain(agents).filter(|(_, path)| path.exists());
    [(What::WriteHome, made), (What::WriteSystem, Path::new("/usr").join(file_name()))]
        .into_iter()
        .chain(markers.iter().cloned())
        .chain(there)
        .collect()
}

/// Goes beyond small limits of each kind, in a unit that has nothing else.
pub async fn limits(host: &Host, manager: &Manager) -> Result<Probed<Exceeded>> {
    let properties: Properties = [
        ("MemoryMax", (48u64 << 20).into()),
        ("MemorySwapMax", 0u64.into()),
        ("TasksMax", 24u64.into()),
        ("CPUQuotaPerSecUSec", 500_000u64.into()),
        // The one that took too much is killed, and the others are to tell of it.
        ("OOMPolicy", "continue".into()),
    ]
    .map(|(name, value): (&str, Variant<'static>)| (name.to_owned(), value))
    .into();
    let properties = properties.into_iter().chain([command(host, &["run", "probe", "--exceed"])]).collect();
    start(manager, "limits", properties, None).await
}

fn command(host: &Host, arguments: &[&str]) -> (String, Variant<'static>) {
    let program = host.program.display().to_string();
    let argv: Vec<String> = [program.as_str()].iter().chain(arguments).map(|word| (*word).to_owned()).collect();
    ("ExecStart".into(), vec![(program, argv, false)].into())
}

/// A file in a directory that is everybody's, while a probe runs.
struct Marker(tempfile::NamedTempFile);

impl Marker {
    fn new(dir: &str) -> Result<Marker> {
        let file = tempfile::Builder::new().prefix(".cicdctl-probe-").tempfile_in(dir);
        Ok(Marker(file.with_context(|| format!("could not make a file in `{dir}`"))?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

fn file_name() -> String {
    format!(".cicdctl-probe-{}", std::process::id())
}

/// Starts the unit, hands it `request` and reads what it says; nothing is left of it.
async fn start<T: DeserializeOwned>(
    manager: &Manager,
    what: &str,
    mut properties: Properties,
    request: Option<&Request>,
) -> Result<Probed<T>> {
    let unit = format!("cicd-probe-{}-{what}.service", std::process::id());
    let stdin = match request {
        None => None,
        Some(request) => {
            let file = rustix::fs::memfd_create("request", rustix::fs::MemfdFlags::CLOEXEC)?;
            let mut file = std::fs::File::from(file);
            file.write_all(&serde_json::to_vec(request)?)?;
            file.rewind()?;
            Some(OwnedFd::from(file))
        }
    };
    let (mut reader, writer) = std::io::pipe()?;
    properties.retain(|(name, _)| !matches!(name.as_str(), "Description" | "Type" | "Slice" | "SyslogIdentifier"));
    let more: [(&str, Variant<'static>); 6] = [
        ("Description", format!("cicdctl: what a {what} can, tried from inside").into()),
        ("Type", "exec".into()),
        ("Slice", "cicd.slice".into()),
        ("SyslogIdentifier", "cicd-probe".into()),
        ("StandardOutputFileDescriptor", Fd::from(OwnedFd::from(writer)).into()),
        ("RuntimeMaxUSec", u64::try_from(PATIENCE.as_micros()).unwrap_or(u64::MAX).into()),
    ];
    properties.retain(|(name, _)| name != "RuntimeMaxUSec");
    properties.extend(more.map(|(name, value)| (name.to_owned(), value)));
    if let Some(stdin) = stdin {
        properties.push(("StandardInputFileDescriptor".into(), Fd::from(stdin).into()));
    }
    let started = {
        let borrowed = properties.iter().map(|(name, value)| Ok((name.as_str(), value.try_clone()?)));
        let borrowed: Vec<(&str, Variant<'_>)> = borrowed.collect::<Result<_>>()?;
        manager.start_transient(&unit, &borrowed).await
    };
    // Our end of what it writes to: with it open the answer would have no end.
    drop(properties);
    if let Err(error) = started {
        let state = manager.state(&unit).await.unwrap_or_default();
        manager.reset_failed(&unit).await;
        let for_want = matches!(state.exit_status, Some(217 | 218 | 226));
        let cause = if state.is_failed() { state.failure() } else { format!("{error:#}") };
        return Ok(Err(Refusal { cause, is_for_want_of_sandbox: for_want }));
    }
    let text = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let text = match tokio::time::timeout(PATIENCE + Duration::from_secs(5), text).await {
        Ok(text) => text??,
        Err(_) => {
            manager.change_one(Verb::Stop, &unit).await?;
            return Err(anyhow!("`{unit}` did not answer within {} s", PATIENCE.as_secs()));
        }
    };
    let state = manager.state(&unit).await.unwrap_or_default();
    manager.reset_failed(&unit).await;
    match serde_json::from_str(&text) {
        Ok(answer) => Ok(Ok(answer)),
        Err(_) if state.is_failed() => Ok(Err(Refusal { cause: state.failure(), is_for_want_of_sandbox: false })),
        Err(error) => Err(error).with_context(|| format!("`{unit}` gave an answer that cannot be read")),
    }
}

/// An engine that needs what the configured one needs.
fn input(config: &Config, engine_home: PathBuf) -> Input {
    let spec = match config.review.engine {
        EngineName::Rules => EngineSpec::Rules,
        EngineName::Command | EngineName::Claude => {
            EngineSpec::Command(CommandSpec { argv: vec!["/usr/bin/true".into()], deadlines: config.job.deadlines() })
        }
    };
    let none = String::new;
    let bundle = Bundle {
        version: 1,
        project: none(),
        subject: none(),
        base_sha: none(),
        head_sha: none(),
        instructions: none(),
        diff: Diff::default(),
        others: Vec::new(),
        open: Vec::new(),
        session: None,
    };
    Input { job: "probe".into(), spec, bundle, engine_home }
}

fn order<'a>(
    config: &'a Config,
    dir: &'a Path,
    input: &'a Input,
    program: &'a Path,
    hidden: &'a [PathBuf],
) -> Order<'a> {
    Order {
        job: "probe",
        dir,
        input,
        limits: &config.job,
        api_key: None,
        api_key_in_environment: false,
        unsandboxed: false,
        program,
        hidden,
    }
}

/// What tells the properties of one cage from those of another.
pub fn cage_digest(host: &Host, config: &Config, systemd: u32) -> String {
    let dir = Path::new("/job");
    let input = input(config, dir.join("engine-home"));
    let around = Around { systemd, variables: Vec::new() };
    let hidden = host.paths.beside_home();
    let order = order(config, dir, &input, &host.program, &hidden);
    let properties = sandbox::with_command(&order, &["run", "probe"], true, PATIENCE, &around);
    hex::encode(&Sha256::digest(format!("{properties:?}"))[..8])
}
