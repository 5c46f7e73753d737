//! The runner's life: take the socket from systemd (or bind it), say that it is ready, answer, work on the queue of
//! its scope, and leave when it is told to or has nothing to do. An agent that watches a repository has always something
//! to do. Runner and agents are the same code with another
//! scope. Knows nothing of unit files or the command line; it speaks `api` and logs to the journal.

mod hold;
mod owed;
mod room;
mod routes;
mod server;
mod socket;
mod unclean;
mod watch;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::sync::watch::Sender;

use crate::agent::AgentName;
use crate::cage::{Cage, Wish};
use crate::config::Span;
use crate::disk;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::{Host, Paths};
use crate::plain;
use crate::review;
use crate::store::{self, Cancelled, Store};
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};
pub use socket::{Listening, listen};
pub use worker::in_scope;

/// Whose jobs a process works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Runner,
    Agent(AgentName),
}

impl Scope {
    pub fn agent(&self) -> Option<&AgentName> {
        match self {
            Scope::Runner => None,
            Scope::Agent(name) => Some(name),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Scope::Runner => "runner",
            Scope::Agent(name) => name.as_str(),
        }
    }

    /// As whom it speaks in the journal (`SyslogIdentifier=` of its unit).
    pub fn identifier(&self) -> String {
        self.agent().map_or("cicd-runner".to_owned(), |name| format!("cicd-agent-{name}"))
    }

    pub fn service(&self) -> String {
        self.agent().map_or(RUNNER_SERVICE.to_owned(), AgentName::service)
    }

    pub fn socket(&self) -> String {
        self.agent().map_or(RUNNER_SOCKET.to_owned(), AgentName::socket)
    }

    pub fn socket_path(&self, paths: &Paths) -> PathBuf {
        self.agent().map_or_else(|| paths.runner_socket(), |name| paths.agent_socket(name))
    }
}

/// What every task of the process shares.
pub struct Shared {
    pub host: Host,
    pub scope: Scope,
    pub store: Store,
    pub cage: Cage,
    /// Rung when a job was accepted here or somebody knocked.
    pub work: Notify,
    /// Rung when an event was written here, so that followers need not wait for their next look.
    pub news: Notify,
    /// Rung when a job begins or ends, so that `STATUS=` says how it is.
    pub changed: Notify,
    pub connections: AtomicU64,
    pub running: AtomicU64,
    /// Rung when a job was given up.
    pub owed: Notify,
    /// Rung when an agent that watches is to look at once.
    pub look: Notify,
    pub wish: Sender<Wish>,
    room: room::Gate,
    /// Why the process cannot go on: the store is damaged.
    broken: Mutex<Option<anyhow::Error>>,
    /// Why no job is begun, if it is not for want of any.
    held: hold::Held,
    /// What an agent that watches says of it.
    watching: Mutex<Option<String>>,
    stopping: AtomicBool,
    last_use: Mutex<Instant>,
    glance: Mutex<routes::Glance>,
}

impl Shared {
    pub fn new(host: Host, scope: Scope, store: Store, cage: Cage) -> Arc<Shared> {
        Arc::new(Shared {
            host,
            scope,
            store,
            cage,
            work: Notify::new(),
            news: Notify::new(),
            changed: Notify::new(),
            connections: AtomicU64::new(0),
            running: AtomicU64::new(0),
            owed: Notify::new(),
            look: Notify::new(),
            wish: Sender::new(Wish::GoOn),
            room: room::Gate::default(),
            broken: Mutex::new(None),
            held: hold::Held::default(),
            watching: Mutex::new(None),
            stopping: AtomicBool::new(false),
            last_use: Mutex::new(Instant::now()),
            glance: Mutex::default(),
        })
    }

    /// Something happened: the idle time begins anew.
    fn touch(&self) {
        *self.last_use.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn idle_for(&self) -> Duration {
        self.last_use.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn glance(&self) -> MutexGuard<'_, routes::Glance> {
        self.glance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// What `STATUS=` says of the watch; `None` where there is none.
    fn say_watching(&self, text: Option<String>) {
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if *watching != text {
            *watching = text;
            self.changed.notify_one();
        }
    }

    fn watching(&self) -> Option<String> {
        self.watching.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What cannot be gone on with ends the process, which systemd then does not start again.
    fn note_damage(&self, error: anyhow::Error) {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.changed.notify_one();
    }

    fn is_working(&self) -> bool {
        self.running.load(Ordering::SeqCst) > 0
    }

    fn is_busy(&self) -> bool {
        self.connections.load(Ordering::SeqCst) > 0 || self.is_working()
    }
}

/// Runs until it is stopped or idle. What ends it before its time is the last that its unit says of itself.
pub async fn run(host: Host, scope: Scope, from_stdin: bool) -> Result<()> {
    let done = run_to_its_end(host, scope, from_stdin).await;
    if let Err(error) = &done {
        let text = plain::one_line(&review::reason(error), 1000);
        notify(&[sd_notify::NotifyState::Status(&format!("{FAILED}{text}"))]);
    }
    done
}

async fn run_to_its_end(host: Host, scope: Scope, from_stdin: bool) -> Result<()> {
    let config = host.config()?;
    let socket_path = scope.socket_path(&host.paths);
    let listening = listen(&socket_path, from_stdin)?;
    let store = open_store(&host.paths.store()).await?;
    let lock = lock(&host, &scope)?;
    let end = unclean::Mark::set(lock);
    if end.was_unclean {
        // Damage is found before it is built upon.
        store.check().await?;
    }
    let cage = match host.manager().await {
        Ok(manager) => Cage::Unit(manager),
        Err(error) => {
            tracing::warn!("engines will not be caged: {error:#}");
            Cage::Child { because: "there is no systemd user manager".into() }
        }
    };
    recover(&host, &scope, &store, &cage).await?;
    // Only systemd wakes it again, so only under systemd may it leave.
    let may_leave = listening.is_from_systemd();
    let stop_timeout = config.runner.stop_timeout.0;
    let shared = Shared::new(host, scope, store, cage);
    let ready = listening.describe();
    let stop = until_told(shared.clone(), config.runner.idle_timeout, may_leave, ready);
    let why = serve(shared.clone(), listening, stop_timeout, stop).await?;
    // A job that was accepted in the last moment would wait for the next knock; so knock, and systemd starts the next
    // process once this one is gone.
    if why == IDLE && shared.store.open_jobs(shared.scope.agent().cloned()).await?.0 > 0 {
        let _ = std::os::unix::net::UnixStream::connect(&socket_path);
    }
    if why == DRAINED {
        stay_stopped(&shared).await;
    }
    end.clear();
    Ok(())
}

/// Takes up what the last process of this scope has left: its jobs go back into the queue, where their engines may go
/// on; what is left of others goes.
async fn recover(host: &Host, scope: &Scope, store: &Store, cage: &Cage) -> Result<()> {
    let workspace = host.paths.workspace(scope.agent());
    let engines_left = review::engines_left(&workspace)?;
    let (requeued, ended) = store.recover(scope.agent().cloned(), engines_left).await?;
    if requeued + ended > 0 {
        tracing::warn!("{requeued} unfinished jobs are back in the queue, {ended} have ended");
    }
    // What cannot be cleaned up now is no reason to do no work.
    for swept in [review::sweep(&workspace, cage, Some(store)).await.map(drop), review::sweep_cages(cage, store).await]
    {
        if let Err(error) = swept {
            tracing::warn!("{error:#}");
        }
    }
    Ok(())
}

const IDLE: &str = "idle; the socket wakes it";
const DRAINED: &str = "drained";
/// How `STATUS=` begins that tells why the process has ended.
pub const FAILED: &str = "failed: ";

/// Opens the store to write to it, however long it takes. To start again would change nothing about one that another
/// process holds locked, nor about a disk without room for what SQLite needs beside it, and after a few times nobody
/// would start us any more.
async fn open_store(path: &Path) -> Result<Store> {
    // Opening one that is locked takes `PATIENCE` by itself.
    const PAUSE: Duration = Duration::from_secs(2);
    let mut told = false;
    loop {
        let opened = async {
            let store = Store::open(path)?;
            store.check_writable().await?;
            anyhow::Ok(store)
        };
        let (error, status) = match opened.await {
            Err(error) if store::is_locked(&error) => {
                (error, format!("waiting for `{}`, which another process holds locked", path.display()))
            }
            Err(error) if disk::is_full(&error, path.parent().unwrap_or(path)) => {
                (error, "waiting: the disk is full, and the store cannot be opened".to_owned())
            }
            opened => return opened,
        };
        if !told {
            tracing::warn!("{status}: {error:#}");
            told = true;
        }
        // Systemd waits as long as it hears of it.
        notify(&[
            sd_notify::NotifyState::Status(&status),
            sd_notify::NotifyState::ExtendTimeoutUsec(2 * (store::PATIENCE + PAUSE).as_micros() as u32),
        ]);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The end of a drain: nobody is to wake us any more. A drain that could not be brought to its end is found again by the
/// next process.
async fn stay_stopped(shared: &Shared) {
    if let Cage::Unit(manager) = &shared.cage
        && let Err(error) = manager.ask_to_stop(&[shared.scope.socket(), shared.scope.service()]).await
    {
        tracing::error!("{error:#}");
        return;
    }
    if let Err(error) = shared.store.resume(shared.scope.agent().cloned(), true).await {
        tracing::error!("could not note the end of the drain: {error:#}");
    }
}

/// Answers on `listening` and works on the queue until `stop` says why to end, which is handed back. Then first no more
/// connections and no more jobs; what runs may end within `stop_timeout`; the rest goes back into the queue.
pub async fn serve(
    shared: Arc<Shared>,
    listening: Listening,
    stop_timeout: Duration,
    stop: impl Future<Output = Result<&'static str>>,
) -> Result<&'static str> {
    let closing = Arc::new(Notify::new());
    let mut workers = tokio::spawn(worker::work(shared.clone()));
    let watch = match &shared.scope {
        Scope::Agent(name) => Some(tokio::spawn(watch::watch(shared.clone(), name.clone()))),
        Scope::Runner => None,
    };
    let owed = tokio::spawn(owed::tell(shared.clone()));
    if shared.scope == Scope::Runner {
        routes::knock_at_all(&shared).await;
    }
    let server = tokio::spawn(server::serve(shared.clone(), listening, closing.clone()));
    let why = stop.await?;
    owed.abort();
    tracing::info!("stopping: {why}");
    // What it has seen is written down whole or not at all.
    if let Some(watch) = watch {
        watch.abort();
    }
    notify(&[sd_notify::NotifyState::Stopping, sd_notify::NotifyState::Status("stopping")]);
    closing.notify_waiters();
    closing.notify_one();
    worker::stop_taking(&shared);
    forget_starts(&shared).await;
    if tokio::time::timeout(stop_timeout, &mut workers).await.is_err() {
        tracing::warn!("running jobs did not end in {} s; they go back into the queue", stop_timeout.as_secs());
        shared.wish.send_replace(Wish::Release);
        if tokio::time::timeout(Duration::from_secs(10), &mut workers).await.is_err() {
            // In some step that cannot be left half-way.
            workers.abort();
            shared.store.requeue_all(shared.scope.agent().cloned(), "the runner stopped").await?;
        }
    }
    server.await.context("the server task failed")??;
    Ok(why)
}

/// Keeps systemd informed until a signal comes, a drain is done, or nothing was to be done for the idle time; says which.
async fn until_told(shared: Arc<Shared>, idle: Span, may_leave: bool, place: String) -> Result<&'static str> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("ready")]);
    tracing::info!("cicdctl {} is ready as {} on {place}", crate::version(), shared.scope.name());
    let mut idle = idle.0;
    let mut pulse = tokio::time::interval(pulse_interval(idle));
    // After a store that did not answer for long one answer is enough.
    pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = term.recv() => return Ok(TOLD),
            _ = interrupt.recv() => return Ok("interrupted"),
            _ = hangup.recv() => {
                reload(&shared);
                continue;
            }
            () = shared.changed.notified() => {}
            _ = pulse.tick() => {}
        }
        if let Some(error) = shared.broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        // The store answers, so the process can do its work: that is what the watchdog is to know.
        let counted = tokio::select! {
            counted = shared.store.open_jobs(shared.scope.agent().cloned()) => counted,
            _ = term.recv() => return Ok(TOLD),
        };
        let (queued, running) = match counted {
            Ok(counted) => counted,
            // It answers that it needs room.
            Err(error) if disk::is_full(&error, &shared.host.paths.state_dir) => {
                let status = "waiting: the disk is full, and the store cannot be read";
                notify(&[sd_notify::NotifyState::Watchdog, sd_notify::NotifyState::Status(status)]);
                continue;
            }
            // It may pass; where it does not, the watchdog ends the process.
            Err(error) => {
                tracing::error!("the store does not answer: {error:#}");
                let text = plain::one_line(&format!("the store does not answer: {error:#}"), 500);
                notify(&[sd_notify::NotifyState::Status(&text)]);
                continue;
            }
        };
        let (held, watching) = (shared.held.now(), shared.watching());
        let mut status =
            if queued + running == 0 { "idle".to_owned() } else { format!("{running} running, {queued} queued") };
        for more in held.iter().map(hold::Hold::in_words).chain(shared.room.why_closed()).chain(watching.clone()) {
            status = format!("{status}; {more}");
        }
        notify(&[sd_notify::NotifyState::Watchdog, sd_notify::NotifyState::Status(&status)]);
        if running == 0 && !shared.is_working() && held.as_ref().is_some_and(hold::Hold::drains) {
            return Ok(DRAINED);
        }
        // The idle time is no part of any unit file: what is written there holds from the next look on.
        if let Ok(config) = shared.host.config()
            && config.runner.idle_timeout.0 != idle
        {
            idle = config.runner.idle_timeout.0;
            pulse = tokio::time::interval(pulse_interval(idle));
            pulse.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let idle_long_enough = may_leave && !idle.is_zero() && shared.idle_for() >= idle;
        // With a wrong configuration it would not start again.
        let misconfigured = matches!(held, Some(hold::Hold::Misconfigured(_)));
        if idle_long_enough && queued + running == 0 && !shared.is_busy() && watching.is_none() && !misconfigured {
            return Ok(IDLE);
        }
    }
}

const TOLD: &str = "told to stop";

/// Every job and every look reads the configuration anew, so there is nothing to swap: what is wrong with it is said, and
/// the process goes on.
fn reload(shared: &Shared) {
    let mut reloading = vec![sd_notify::NotifyState::Reloading];
    reloading.extend(sd_notify::NotifyState::monotonic_usec_now());
    notify(&reloading);
    match hold::configuration(&shared.host, &shared.scope) {
        Ok(_) => tracing::info!("the configuration is read anew for the next job"),
        Err(wrong) => shared.say_held(Some(wrong)),
    }
    notify(&[sd_notify::NotifyState::Ready]);
    shared.look.notify_one();
    shared.work.notify_one();
    shared.changed.notify_one();
}

/// The limit of starts is for failures. Leaving when idle and being woken again is none, however often it happens, but
/// systemd counts every start; past the limit the socket would fail, too.
async fn forget_starts(shared: &Shared) {
    let Cage::Unit(manager) = &shared.cage else { return };
    let _ = tokio::time::timeout(Duration::from_secs(2), manager.reset_failed(&shared.scope.service())).await;
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("could not tell systemd: {error}");
    }
}

/// A third of the watchdog's time, and often enough to notice idleness.
fn pulse_interval(idle_timeout: Duration) -> Duration {
    let most = Duration::from_secs(15);
    let watchdog = sd_notify::watchdog_enabled().map_or(most, |time| time / 3);
    let idle = if idle_timeout.is_zero() { most } else { idle_timeout / 4 };
    watchdog.min(idle).clamp(Duration::from_millis(200), most)
}

/// No agent's name may make it another's lock: `.cicdctl.lock` beside the runner's is that of the commands.
fn lock_path(paths: &Paths, scope: &Scope) -> PathBuf {
    match scope {
        Scope::Runner => paths.state_dir.join(".runner.lock"),
        Scope::Agent(name) => paths.agent_state(name).join(".lock"),
    }
}

/// A job that was begun may have a cage though nobody works on it now: while it waits to be begun again, and where its
/// process died and no other has taken its place.
async fn end_cage_of_cancelled(shared: &Shared, id: &str, found: Cancelled) -> Result<()> {
    let Some(job) = shared.store.job(id).await?.filter(|job| job.attempts > 0) else { return Ok(()) };
    let scope = job.agent.map_or(Scope::Runner, Scope::Agent);
    match found {
        Cancelled::AtOnce => {}
        Cancelled::Asked if scope != shared.scope => {
            // Whoever holds the lock ends it.
            let Ok(_lock) = lock(&shared.host, &scope) else { return Ok(()) };
            shared.store.cancel_left(id).await?;
        }
        Cancelled::Asked | Cancelled::AlreadyEnded | Cancelled::NoSuchJob => return Ok(()),
    }
    review::discard(&shared.host.paths.workspace(scope.agent()), id, &shared.cage).await
}

/// One process for a scope: two would take each other's running jobs for those of a crash.
fn lock(host: &Host, scope: &Scope) -> Result<std::fs::File> {
    let path = lock_path(&host.paths, scope);
    if let Some(dir) = path.parent() {
        files::make_dir(dir, 0o700)?;
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .with_context(|| format!("could not open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Fail {
            exit: Exit::TryLater,
            ..Fail::new(format!("another process of this user already is the {}", scope.name()))
                .hint("`systemctl --user status 'cicd-*'` shows it")
        }
        .into()),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock `{}`", path.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_of_different_scopes_share_a_lock() {
        let paths = Paths {
            home: "/h".into(),
            config_dir: "/h/c".into(),
            config_home: "/h".into(),
            state_dir: "/h/s".into(),
            cache_dir: "/h/k".into(),
            runtime_dir: "/r".into(),
        };
        let of = |name: &str| lock_path(&paths, &Scope::Agent(name.parse().unwrap()));
        let commands = paths.state_dir.join(".cicdctl.lock");
        let all = [of("runner"), of("cicdctl"), of("x"), lock_path(&paths, &Scope::Runner), commands];
        for (index, path) in all.iter().enumerate() {
            assert!(!all[..index].contains(path), "{}", path.display());
        }
    }
}
