//! The user's systemd manager over a given connection: reload, enable, start and stop with the job's result, state,
//! and transient units. Knows nothing of configuration or agents.

mod live;
mod login;
mod private;
mod proxy;
mod state;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use futures_util::StreamExt;
use zbus::Connection;
use zbus::wire::{OwnedObjectPath, OwnedVariant, Variant};

use crate::error::Fail;
pub use live::{LIVE, forget_set_properties, in_force};
pub use login::{Linger, linger, set_linger};
use proxy::JobRemovedStream;
pub use state::{CONFINING, UnitState, exit_status_name};

/// How a unit can be told to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
        }
    }
}

/// The user's service manager. All clones share one connection.
#[derive(Clone)]
pub struct Manager {
    link: Arc<RwLock<Link>>,
    /// How to reach it again: the bus's address where it was told, and the runtime directory.
    place: Option<(Option<String>, PathBuf)>,
}

#[derive(Clone)]
struct Link {
    connection: Connection,
    proxy: proxy::ManagerProxy<'static>,
}

impl Manager {
    /// Over the user's bus, or over the manager's private socket where no bus daemon runs.
    pub async fn connect(bus_address: Option<&str>, runtime_dir: &Path) -> Result<Manager> {
        let mut manager = Manager::new(dial(bus_address, runtime_dir).await?).await?;
        manager.place = Some((bus_address.map(str::to_owned), runtime_dir.to_owned()));
        Ok(manager)
    }

    /// For many questions in a short time: over the manager's private socket, as `systemctl --user` does it, so that no
    /// bus daemon has to pass on every answer; over the bus where that cannot be had.
    pub async fn connect_to_ask(bus_address: Option<&str>, runtime_dir: &Path) -> Result<Manager> {
        match dial_private(&runtime_dir.join("systemd/private")).await {
            Ok(connection) => Manager::new(connection).await,
            Err(_) => Manager::connect(bus_address, runtime_dir).await,
        }
    }

    /// That of the system, and not of a user.
    pub async fn of_system() -> Result<Manager> {
        let connection = zbus::connection::Builder::system().build().await;
        Manager::new(connection.context("could not reach the system's D-Bus")?).await
    }

    pub async fn new(connection: Connection) -> Result<Manager> {
        let proxy = proxy::ManagerProxy::new(&connection).await?;
        Ok(Manager { link: Arc::new(RwLock::new(Link { connection, proxy })), place: None })
    }

    /// Connects anew where the connection is gone: the bus daemon was restarted, or is not there any more.
    pub async fn revive(&self) -> Result<()> {
        let asked = tokio::time::timeout(Duration::from_secs(10), self.proxy().version()).await;
        let (Some((address, runtime_dir)), false) = (&self.place, matches!(asked, Ok(Ok(_)))) else { return Ok(()) };
        let connection = dial(address.as_deref(), runtime_dir).await?;
        let proxy = proxy::ManagerProxy::new(&connection).await?;
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = Link { connection, proxy };
        tracing::info!("connected to the user manager anew");
        Ok(())
    }

    fn link(&self) -> Link {
        self.link.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn proxy(&self) -> proxy::ManagerProxy<'static> {
        self.link().proxy
    }

    fn connection(&self) -> Connection {
        self.link().connection
    }

    pub async fn version(&self) -> Result<String> {
        Ok(self.proxy().version().await?)
    }

    /// The number at the head of the version, such as 257.
    pub async fn major_version(&self) -> Result<u32> {
        let version = self.version().await.context("could not ask for the version of systemd")?;
        let digits = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().with_context(|| format!("`{version}` is no version of systemd"))
    }

    /// `NAME=VALUE` of the manager's environment block.
    pub async fn environment(&self) -> Result<Vec<String>> {
        Ok(self.proxy().environment().await?)
    }

    /// Takes variables out of the manager's environment block; what files of environment.d say is there again after a
    /// reload.
    pub async fn unset_environment(&self, names: &[&str]) -> Result<()> {
        self.proxy()
            .unset_environment(names)
            .await
            .with_context(|| format!("could not take {} out of the user manager's environment", quoted(names)))
    }

    /// Directories in which the manager looks for units.
    pub async fn unit_path(&self) -> Result<Vec<String>> {
        Ok(self.proxy().unit_path().await?)
    }

    pub async fn control_group(&self) -> Result<String> {
        Ok(self.proxy().control_group().await?)
    }

    pub async fn reload(&self) -> Result<()> {
        self.proxy().reload().await.context("could not reload the user manager")
    }

    /// Makes units start with the manager. The links that this makes are known to it only after another reload.
    pub async fn enable(&self, units: &[&str]) -> Result<()> {
        self.proxy()
            .enable_unit_files(units, false, false)
            .await
            .with_context(|| format!("could not enable {}", quoted(units)))?;
        self.reload().await
    }

    pub async fn disable(&self, units: &[&str]) -> Result<()> {
        self.proxy()
            .disable_unit_files(units, false)
            .await
            .with_context(|| format!("could not disable {}", quoted(units)))?;
        Ok(())
    }

    pub async fn is_enabled(&self, unit: &str) -> bool {
        self.proxy().get_unit_file_state(unit).await.is_ok_and(|state| state.starts_with("enabled"))
    }

    /// Lets a unit be started again that failed too often.
    pub async fn reset_failed(&self, unit: &str) {
        // A unit that is not loaded has no failure to forget.
        let _ = self.proxy().reset_failed_unit(unit).await;
    }

    /// Asks for a change of several units at once and waits for the result of each job; the error of each unit that
    /// did not follow is beside its name.
    pub async fn change(&self, verb: Verb, units: &[String]) -> Result<Vec<(String, Result<()>)>> {
        self.subscribe().await?;
        let mut removed = self.proxy().receive_job_removed().await?;
        let calls = units.iter().map(|unit| async move {
            let job = match verb {
                Verb::Start => {
                    self.reset_failed(unit).await;
                    // A socket fails as soon as it listens where its service failed too often.
                    if let Some(name) = unit.strip_suffix(".socket") {
                        self.reset_failed(&format!("{name}.service")).await;
                    }
                    self.proxy().start_unit(unit, "replace").await
                }
                Verb::Stop => self.proxy().stop_unit(unit, "replace").await,
                Verb::Restart => {
                    self.reset_failed(unit).await;
                    self.proxy().restart_unit(unit, "replace").await
                }
            };
            (unit.clone(), job)
        });
        let (mut results, mut waiting, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for (unit, job) in beside(&mut removed, &mut over, futures_util::future::join_all(calls)).await? {
            match job {
                Ok(job) => waiting.push((job, unit)),
                Err(error) if verb == Verb::Stop && is_no_such_unit(&error) => results.push((unit, Ok(()))),
                Err(error) => results.push((unit, Err(error.into()))),
            }
        }
        let mut ended = Vec::new();
        let mut over = over.into_iter();
        while !waiting.is_empty() {
            let (job, result) = match over.next() {
                Some(over) => over,
                None => next_over(&mut removed).await?,
            };
            if let Some(index) = waiting.iter().position(|(waiting, _)| *waiting == job) {
                ended.push((waiting.swap_remove(index).1, result));
            }
        }
        drop(removed);
        for (unit, result) in ended {
            let result = match result.as_str() {
                "done" | "skipped" => Ok(()),
                other => Err(self.why_not(&unit, other).await),
            };
            results.push((unit, result));
        }
        Ok(results)
    }

    /// Asks for a stop and does not wait for it; what is not loaded is stopped already.
    pub async fn ask_to_stop(&self, units: &[String]) -> Result<()> {
        for unit in units {
            match self.proxy().stop_unit(unit, "replace").await {
                Err(error) if !is_no_such_unit(&error) => {
                    return Err(error).with_context(|| format!("could not ask for the stop of `{unit}`"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// One unit; the error says what systemd gives as the cause.
    pub async fn change_one(&self, verb: Verb, unit: &str) -> Result<()> {
        for (_, result) in self.change(verb, &[unit.to_owned()]).await? {
            result.with_context(|| format!("could not {} `{unit}`", verb.as_str()))?;
        }
        Ok(())
    }

    async fn why_not(&self, unit: &str, job_result: &str) -> anyhow::Error {
        let state = match self.state(unit).await {
            Ok(state) => state,
            Err(error) => return error.context(format!("the job ended with `{job_result}`")),
        };
        match job_result {
            "timeout" => anyhow!("it was not ready in time"),
            "dependency" => anyhow!("a unit that it needs did not start"),
            "canceled" => anyhow!("another request took the place of this one"),
            _ => anyhow!(state.failure()),
        }
    }

    async fn subscribe(&self) -> Result<()> {
        // On the private socket every client is subscribed, and says so by an error.
        match self.proxy().subscribe().await {
            Err(error) if !error.to_string().contains("AlreadySubscribed") => {
                tracing::debug!("could not subscribe to the manager's signals: {error}");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Names of loaded units that match one of the patterns.
    pub async fn loaded(&self, patterns: &[&str]) -> Result<Vec<String>> {
        let units = self.proxy().list_units_by_patterns(&[], patterns).await.context("could not list the units")?;
        Ok(units.into_iter().map(|unit| unit.0).collect())
    }

    /// State of the unit, loaded for the purpose if need be.
    pub async fn state(&self, unit: &str) -> Result<UnitState> {
        let answer = self.all_properties(unit).await?;
        let body = answer.body();
        // Hundreds of properties come for each unit; only the values in use are taken out of the message.
        let properties: HashMap<&str, Variant<'_>> = body.deserialize().with_context(|| unreadable(unit))?;
        let mut state = UnitState { name: unit.to_owned(), ..UnitState::default() };
        state.fill(|name| properties.get(name));
        // A unit whose file was deleted stays loaded until the next reload, and is gone from then on.
        if state.fragment.as_ref().is_some_and(|file| !file.exists()) {
            state.load = "not-found".into();
        }
        Ok(state)
    }

    /// All that systemd says of the unit.
    pub async fn properties(&self, unit: &str) -> Result<HashMap<String, OwnedVariant>> {
        self.all_properties(unit).await?.body().deserialize().with_context(|| unreadable(unit))
    }

    /// One call: a unit that is asked for by its path is loaded for that.
    async fn all_properties(&self, unit: &str) -> Result<zbus::Message> {
        let interface = Some("org.freedesktop.DBus.Properties");
        // The empty name asks for the properties of all interfaces at once.
        self.connection()
            .call_method(Some("org.freedesktop.systemd1"), object_path(unit), interface, "GetAll", &"")
            .await
            .with_context(|| unreadable(unit))
    }

    /// Only `ActiveState` and the control group of the unit: what can be asked often.
    pub async fn pulse(&self, unit: &str) -> Result<(String, Option<String>)> {
        let proxy = proxy::UnitPropertiesProxy::builder(&self.connection()).path(object_path(unit)).build().await?;
        let (active, group) = tokio::join!(
            proxy.get("org.freedesktop.systemd1.Unit", "ActiveState"),
            proxy.get("org.freedesktop.systemd1.Service", "ControlGroup")
        );
        let group = group.ok().and_then(|group| String::try_from(group).ok()).filter(|group| !group.is_empty());
        Ok((String::try_from(active?)?, group))
    }

    /// States of several units, asked for side by side.
    pub async fn states(&self, units: &[String]) -> Result<Vec<UnitState>> {
        futures_util::future::try_join_all(units.iter().map(|unit| self.state(unit))).await
    }

    /// Starts a unit that exists only for this run, and waits until its process runs.
    pub async fn start_transient(&self, name: &str, properties: &[(&str, Variant<'_>)]) -> Result<()> {
        self.subscribe().await?;
        let mut removed = self.proxy().receive_job_removed().await?;
        let mut over = Vec::new();
        let job =
            beside(&mut removed, &mut over, self.proxy().start_transient_unit(name, "fail", properties, &[])).await??;
        let mut result = over.into_iter().find(|(over, _)| *over == job).map(|(_, result)| result);
        while result.is_none() {
            let (over, ended) = next_over(&mut removed).await?;
            result = (over == job).then_some(ended);
        }
        drop(removed);
        match result.as_deref() {
            Some("done") | None => Ok(()),
            Some(other) => Err(self.why_not(name, other).await),
        }
    }
}

async fn dial(bus_address: Option<&str>, runtime_dir: &Path) -> Result<Connection> {
    let mut causes = Vec::new();
    let bus = runtime_dir.join("bus");
    let address =
        bus_address.map(str::to_owned).or_else(|| bus.exists().then(|| format!("unix:path={}", bus.display())));
    if let Some(address) = address {
        match connect_to(zbus::connection::Builder::address(address.as_str())).await {
            Ok(connection) => return Ok(connection),
            Err(error) => causes.push(format!("{address}: {error}")),
        }
    }
    let private = runtime_dir.join("systemd/private");
    if private.exists() {
        match dial_private(&private).await {
            Ok(connection) => return Ok(connection),
            Err(error) => causes.push(format!("unix:path={}: {error}", private.display())),
        }
    }
    if causes.is_empty() {
        causes.push(format!("neither `{}` nor `{}` exists", bus.display(), private.display()));
    }
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    Err(anyhow!(causes.join("; "))).context(Fail::new("could not reach the systemd user manager").hint(format!(
        "log in by ssh, `su -` or `sudo -i` (`sudo -u`, cron and services open no session), or let root run \
         `loginctl enable-linger {user}`; root can also run `cicdctl --user {user} …`"
    )))
}

async fn dial_private(socket: &Path) -> Result<Connection> {
    let stream = tokio::net::UnixStream::connect(socket).await?;
    connect_to(zbus::connection::Builder::socket(private::Private(stream)).p2p()).await
}

/// A job that is over, and its result.
type Over = (OwnedObjectPath, String);

/// Waits for the replies to `calls` and notes the jobs that are over meanwhile: signals that nobody takes would soon
/// block the connection, and the replies with it.
async fn beside<T>(removed: &mut JobRemovedStream, over: &mut Vec<Over>, calls: impl Future<Output = T>) -> Result<T> {
    tokio::pin!(calls);
    loop {
        tokio::select! {
            replies = &mut calls => return Ok(replies),
            Some(signal) = removed.next() => {
                let args = signal.args()?;
                over.push((args.job, args.result));
            }
        }
    }
}

async fn next_over(removed: &mut JobRemovedStream) -> Result<Over> {
    let signal = removed.next().await.context("the connection to the user manager was lost")?;
    let args = signal.args()?;
    Ok((args.job, args.result))
}

/// Where the bus has a unit: letters and digits as they are, and all else in hexadecimal digits (org.freedesktop.systemd1(5)
/// and `sd_bus_path_encode(3)`).
fn object_path(unit: &str) -> String {
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (index, byte) in unit.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            b'0'..=b'9' if index > 0 => path.push(char::from(byte)),
            _ => path.push_str(&format!("_{byte:02x}")),
        }
    }
    path
}

fn unreadable(unit: &str) -> String {
    format!("could not read the state of `{unit}`")
}

fn is_no_such_unit(error: &zbus::Error) -> bool {
    error.to_string().contains("NoSuchUnit")
}

async fn connect_to(builder: zbus::connection::Builder<'_>) -> Result<Connection> {
    let connect = builder.method_timeout(Duration::from_secs(90)).build();
    Ok(tokio::time::timeout(Duration::from_secs(10), connect).await.map_err(|_| anyhow!("no answer in 10 s"))??)
}

fn quoted(units: &[&str]) -> String {
    units.iter().map(|unit| format!("`{unit}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
