//! `cicdctl upgrade`: another cicdctl in the place of the one that the units name, with the way back kept open.
//!
//! What happens, in this order: the new program is looked at and asked for its version and the store that it needs; it is
//! copied beside the present one, whole and on disk; what is to be done is written to `upgrade.json`; the services are
//! stopped, so that no old runner starts a cage of the new program (their sockets go on listening, and who knocks waits);
//! the present program gets a second name, `cicdctl.old`; the copy takes its place by one rename; the new program applies
//! its own units; the services start; each of them has to answer on its socket as the new version. If it does not, the old
//! program takes its place back, and the same is asked of it.
//!
//! Whoever is killed in between leaves a whole program, the old or the new, and `upgrade.json`; `doctor` and `init` speak of
//! it, and `cicdctl upgrade` goes on from there.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::agent::AgentName;
use crate::api::client::Client;
use crate::cli::Changing;
use crate::config::Span;
use crate::converge::{self, Question};
use crate::engine::pin;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::quantity::{self, count};
use crate::store::version as schema;
use crate::systemd::{Manager, Verb};
use crate::unit::escape::program_of;
use crate::unit::plan::Plan;
use crate::unit::{PATTERNS, RUNNER_SERVICE};

/// Put another cicdctl in the place of the installed one, and take it back if it does not work
///
/// Runner and agents are stopped (running reviews go on or are begun again, none is lost), the program is replaced in one
/// step, the units are brought up to date and started, and each has to answer as the new version; otherwise the old
/// program takes its place back. The old one stays beside it as cicdctl.old. Without `--from`, runner and agents follow
/// the program that is installed, and an upgrade that was interrupted is brought to its end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl upgrade --from ./cicdctl")]
pub struct Args {
    /// The new program
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// What its SHA-256 must be
    #[arg(long, value_name = "HEX", requires = "from")]
    sha256: Option<String>,
    /// How long runner and agents may take to be ready
    #[arg(long, value_name = "TIME", default_value = "60s")]
    wait: Span,
    #[command(flatten)]
    pub changing: Changing,
}

/// What `cicdctl run schema` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub version: String,
    /// Of the store that it makes of any older one.
    pub schema: usize,
}

impl About {
    /// This program.
    pub fn this() -> About {
        About { version: crate::version().to_owned(), schema: schema::KNOWN }
    }

    async fn of(program: &Path) -> Result<About> {
        let said = pin::ask(program, &["--version"]).await?;
        let version = said.trim().strip_prefix("cicdctl ").filter(|version| !version.contains(char::is_whitespace));
        let version =
            version.with_context(|| format!("`{} --version` does not say that it is cicdctl", program.display()))?;
        let said = pin::ask(program, &["run", "schema"]).await.context("it does not say which store it needs")?;
        let about: About = serde_json::from_str(&said).context("it does not say which store it needs")?;
        if about.version != version {
            bail!("it says that it is {version}, and {}", about.version);
        }
        Ok(about)
    }
}

/// `upgrade.json`: an upgrade that has begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    pub program: PathBuf,
    pub from: About,
    pub to: About,
    old_sha256: String,
    new_sha256: String,
    /// Services that ran before.
    active: Vec<String>,
    store_copy: Option<PathBuf>,
    pub began_ms: i64,
}

impl Note {
    pub fn load(host: &Host) -> Result<Option<Note>> {
        let path = host.paths.upgrade_note();
        let Some(text) = files::read(&path)? else { return Ok(None) };
        Ok(Some(serde_json::from_str(&text).with_context(|| format!("could not read `{}`", path.display()))?))
    }

    fn save(&self, host: &Host) -> Result<()> {
        files::write(&host.paths.upgrade_note(), &serde_json::to_vec_pretty(self)?, 0o600)
    }

    /// For `init` and `doctor`.
    pub fn in_words(&self) -> String {
        format!(
            "an upgrade of `{}` from {} to {} was begun at {} and did not come to its end",
            self.program.display(),
            self.from.version,
            self.to.version,
            quantity::time(self.began_ms)
        )
    }
}

/// Where the copy is until it takes its place.
fn staged(program: &Path) -> PathBuf {
    program.with_file_name(format!(".cicdctl-{}-new", std::process::id()))
}

/// The second name of the program before the last upgrade.
fn old_name(program: &Path) -> PathBuf {
    let mut name = program.file_name().unwrap_or_default().to_owned();
    name.push(".old");
    program.with_file_name(name)
}

/// The program that the units start, links resolved; this one where there are none.
pub fn installed(host: &Host) -> Result<PathBuf> {
    let unit = host.paths.unit_dir().join(RUNNER_SERVICE);
    let named = files::read(&unit)?.and_then(|text| program_of(&text)).map(PathBuf::from);
    let program = named.unwrap_or_else(|| host.program.clone());
    program.canonicalize().with_context(|| {
        Fail::new(format!("the program `{}`, which the units start, is not there", program.display()))
            .hint("put a cicdctl there, or let the units name another: `cicdctl apply`, run by that one")
    })
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let _lock = lock(host)?;
    let program = installed(host)?;
    if let Some(dir) = program.parent().filter(|_| !args.changing.dry_run) {
        // Copies of one that was killed. Where they are not ours to remove, the directory is not ours to write to.
        if let Err(error) = files::remove_abandoned(dir) {
            tracing::debug!("{error:#}");
        }
    }
    let upgrade = Upgrade { host, program, wait: args.wait.0, stop: stop_limit(host) };
    match (&args.from, Note::load(host)?) {
        (Some(from), note) => upgrade.replace(from, &args, note).await,
        (None, Some(note)) => upgrade.resume(note, args.changing).await,
        (None, None) => upgrade.follow(args.changing).await,
    }
}

/// One upgrade at a time. The lock of the other commands is for the new program's `apply`.
fn lock(host: &Host) -> Result<Option<std::fs::File>> {
    if !host.paths.state_dir.exists() {
        return Ok(None);
    }
    let path = host.paths.state_dir.join(".upgrade.lock");
    let file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => bail!(Fail::new("another `cicdctl upgrade` is at work")),
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("could not lock `{}`", path.display()))
        }
    }
}

/// How long a stop may take, by the units.
fn stop_limit(host: &Host) -> Duration {
    // Whatever is wrong with the configuration, the runner has its default then.
    host.config().unwrap_or_default().runner.stop_timeout.0 + Duration::from_secs(30)
}

struct Upgrade<'a> {
    host: &'a Host,
    program: PathBuf,
    wait: Duration,
    stop: Duration,
}

impl Upgrade<'_> {
    async fn replace(&self, from: &Path, args: &Args, interrupted: Option<Note>) -> Result<Exit> {
        let Upgrade { host, program, .. } = self;
        let ui = &host.ui;
        if let Some(note) = &interrupted {
            ui.warn(&note.in_words());
        }
        let from = from.canonicalize().with_context(|| format!("could not find `{}`", from.display()))?;
        let new_sha256 = examine(&from, args.sha256.as_deref())?;
        let old_sha256 = sha256(program)?;
        if new_sha256 == old_sha256 {
            ui.say(&format!("`{}` is that very program already.", program.display()));
            return match interrupted {
                Some(note) => self.resume(note, args.changing).await,
                None => self.follow(args.changing).await,
            };
        }
        let to = About::of(&from).await.context(Fail::new(format!("`{}` is no cicdctl that works", from.display())))?;
        let present = schema::of(&host.paths.store())?;
        if present.is_some_and(|present| present > to.schema) {
            bail!(
                Fail::new(format!(
                    "cicdctl {} cannot read the store of this user: it knows schema {}, and `{}` has {}",
                    to.version,
                    to.schema,
                    host.paths.store().display(),
                    present.unwrap_or_default()
                ))
                .hint(format!(
                    "take one as new as this ({}); a copy of the store from before its upgrade may be beside it",
                    crate::version()
                ))
            );
        }
        self.writable(&from)?;
        // What a broken program said cannot be asked any more.
        let before =
            About::of(program).await.unwrap_or_else(|_| About { schema: present.unwrap_or(0), ..About::this() });
        let manager = self.manager().await?;
        if manager.is_some() {
            // A mistake in it would be taken for one of the new program.
            host.agents(&host.config()?)?;
        }
        let mut active = match &manager {
            Some(manager) => active(manager).await?,
            None => Vec::new(),
        };
        if let Some(note) = interrupted {
            active.extend(note.active.into_iter().filter(|unit| !active.contains(unit)).collect::<Vec<_>>());
        }
        let migrates = present.is_some_and(|present| present < to.schema);
        let store_copy = migrates.then(|| host.paths.state_dir.join(format!("store-before-{}.db", to.version)));
        let note = Note {
            program: program.clone(),
            from: before,
            to,
            old_sha256,
            new_sha256,
            active,
            store_copy,
            began_ms: crate::store::now_ms(),
        };
        if !converge::agreed(host, &Plan::default(), &self.todo(&note), args.changing, Question::Yes)? {
            return Ok(Exit::Done);
        }
        self.copy(&from, &note.new_sha256)?;
        let Some(manager) = manager else {
            self.swap(&note)?;
            ui.say(&format!("Done: `{}` is cicdctl {}.", program.display(), note.to.version));
            self.say_old();
            if host.uid == 0 {
                ui.say("Next: each user whose units start it runs `cicdctl upgrade`.");
            }
            return Ok(Exit::Done);
        };
        self.remember_old()?;
        note.save(host)?;
        if let Err(error) = self.begin(&note, &manager).await {
            // Nothing was replaced yet.
            let started = manager.change(Verb::Start, &note.active).await;
            files::remove(&staged(program))?;
            started?;
            files::remove(&host.paths.upgrade_note())?;
            return Err(
                error.context(Fail::new(format!("nothing was replaced: cicdctl {} goes on", note.from.version)))
            );
        }
        self.swap(&note)?;
        self.finish(&note, &manager).await
    }

    /// What will be done, for the question.
    fn todo(&self, note: &Note) -> Vec<String> {
        let mut lines = vec![format!(
            "replace {} ({} by {}, {})",
            self.program.display(),
            note.from.version,
            note.to.version,
            pin::short(&note.new_sha256)
        )];
        lines.push(format!("keep    the present one as {}", old_name(&self.program).display()));
        if let Some(copy) = &note.store_copy {
            lines.push(format!("copy    the store to {}, as its schema becomes {}", copy.display(), note.to.schema));
        }
        if !note.active.is_empty() {
            lines.push(format!("restart {}", quantity::list(&note.active, 6)));
        }
        lines
    }

    /// The directory must take the new name.
    fn writable(&self, from: &Path) -> Result<()> {
        let dir = self.program.parent().unwrap_or(Path::new("/"));
        let Err(error) = rustix::fs::access(dir, rustix::fs::Access::WRITE_OK) else { return Ok(()) };
        let user = match self.host.uid {
            0 => String::new(),
            _ => format!(", then as `{}`: `cicdctl upgrade`", self.host.user),
        };
        Err(error).context(
            Fail::new(format!(
                "`{}` cannot be replaced: you may not write to `{}`",
                self.program.display(),
                dir.display()
            ))
            .hint(format!(
                "as root: `{} upgrade --yes --from {}`{user}",
                quoted(&self.program),
                quoted(from)
            )),
        )
    }

    /// `None` where only the program is replaced: root's, and where there is nothing to restart.
    async fn manager(&self) -> Result<Option<Manager>> {
        if self.host.uid == 0 || Manifest::load(&self.host.paths.manifest())?.is_none() {
            return Ok(None);
        }
        self.host.manager().await.map(Some)
    }

    /// The new program beside the present one, on disk and compared with what was examined.
    fn copy(&self, from: &Path, wanted: &str) -> Result<()> {
        let meta = self.program.metadata().with_context(|| format!("could not find `{}`", self.program.display()))?;
        // Never set-uid, whatever somebody did to the present one.
        let mode = meta.permissions().mode() & 0o755 | 0o500;
        files::write_with(&staged(&self.program), mode, |file| {
            let found = files::copy_hashed(&mut std::fs::File::open(from)?, file)?;
            if found != wanted {
                bail!("`{}` has changed since it was looked at", from.display());
            }
            Ok(())
        })
    }

    /// `uninstall` is to take the second name away, too.
    fn remember_old(&self) -> Result<()> {
        if let Some(mut manifest) = Manifest::load(&self.host.paths.manifest())? {
            let old = old_name(&self.program);
            if !manifest.old_programs.contains(&old) {
                manifest.old_programs.push(old);
                manifest.save(&self.host.paths.manifest())?;
            }
        }
        Ok(())
    }

    /// Up to the last moment before the program is replaced.
    async fn begin(&self, note: &Note, manager: &Manager) -> Result<()> {
        if !note.active.is_empty() {
            self.host.ui.say("stopping runner and agents; who knocks meanwhile waits …");
            let stop = manager.change(Verb::Stop, &note.active);
            let stopped = tokio::time::timeout(self.stop, stop).await;
            for (unit, result) in
                stopped.map_err(|_| anyhow!("they did not stop within {} s", self.stop.as_secs()))??
            {
                result.with_context(|| format!("could not stop `{unit}`"))?;
            }
        }
        if let Some(copy) = &note.store_copy {
            schema::copy(&self.host.paths.store(), copy)?;
        }
        Ok(())
    }

    fn swap(&self, note: &Note) -> Result<()> {
        files::link_over(&self.program, &old_name(&self.program))?;
        files::rename(&staged(&self.program), &self.program)?;
        self.host.ui.detail(&format!("`{}` is cicdctl {}", self.program.display(), note.to.version));
        Ok(())
    }

    /// Has the new program show that it works, and takes it back where it does not.
    async fn finish(&self, note: &Note, manager: &Manager) -> Result<Exit> {
        let host = self.host;
        match self.set_going(&note.active, &note.to.version, manager).await {
            Ok(agents) => {
                files::remove(&host.paths.upgrade_note())?;
                host.ui.say(&format!(
                    "Done: cicdctl {} is installed; the runner{} as {}.",
                    note.to.version,
                    who_answers(agents),
                    note.to.version
                ));
                self.say_old();
                if let Some(copy) = &note.store_copy {
                    host.ui.say(&format!(
                        "  store    {} is as it was before (schema {})",
                        copy.display(),
                        note.from.schema
                    ));
                }
                Ok(Exit::Done)
            }
            Err(error) => Err(self.take_back(note, manager, error).await),
        }
    }

    fn say_old(&self) {
        let old = old_name(&self.program);
        self.host.ui.say(&format!(
            "  before   {} (`cicdctl upgrade --from {}` goes back)",
            old.display(),
            quoted(&old)
        ));
    }

    /// The old program takes its place back, unless the store is not its own any more.
    async fn take_back(&self, note: &Note, manager: &Manager, cause: anyhow::Error) -> anyhow::Error {
        let Upgrade { host, program, .. } = self;
        let (from, to) = (&note.from.version, &note.to.version);
        host.ui.warn(&format!("cicdctl {to} does not work: {cause:#}"));
        let old = old_name(program);
        // Nobody is to bring the store up to date while it is looked at.
        let _ = tokio::time::timeout(self.stop, manager.change(Verb::Stop, &note.active)).await;
        let present = schema::of(&host.paths.store()).ok().flatten();
        if present.is_some_and(|present| present > note.from.schema) {
            let store = host.paths.store();
            let back = match &note.store_copy {
                Some(copy) => format!(
                    "`systemctl --user stop 'cicd-*'; rm -f {store}-wal {store}-shm; cp {} {store}; mv {} {}; cicdctl apply --yes`",
                    quoted(copy),
                    quoted(&old),
                    quoted(program),
                    store = quoted(&store)
                ),
                None => format!("install a cicdctl that knows schema {}", present.unwrap_or_default()),
            };
            return cause.context(
                Fail::new(format!(
                    "the upgrade to {to} failed, and cannot be taken back by itself: the store has schema {} by now, and {from} \
                     knows {}",
                    present.unwrap_or_default(),
                    note.from.schema
                ))
                .hint(format!(
                    "see `cicdctl logs runner`, then `cicdctl upgrade`; or go back and lose what was accepted since: {back}"
                )),
            );
        }
        let back = async {
            host.ui.say(&format!("taking cicdctl {from} back …"));
            files::rename(&old, program)?;
            self.set_going(&note.active, from, manager).await
        };
        match back.await {
            Ok(_) => {
                // Where the note stays, the next `upgrade` finds the old program in its place and says so.
                if let Err(error) = files::remove(&host.paths.upgrade_note()) {
                    host.ui.warn(&format!("{error:#}"));
                }
                cause.context(Fail::new(format!(
                    "the upgrade to {to} failed and was taken back: {from} is in its place and answers"
                )))
            }
            Err(error) => cause.context(
                Fail::new(format!("the upgrade to {to} failed, and going back to {from} did, too: {error:#}"))
                    .hint("`cicdctl logs` and `cicdctl doctor` say more; `cicdctl upgrade` tries again"),
            ),
        }
    }

    /// An upgrade that was killed.
    async fn resume(&self, note: Note, changing: Changing) -> Result<Exit> {
        let Upgrade { host, program, .. } = self;
        host.ui.say(&format!("{}.", note.in_words()));
        let present = sha256(program)?;
        let is_new = present == note.new_sha256;
        let line = if is_new {
            format!("have runner and agents follow cicdctl {}, which is in its place", note.to.version)
        } else {
            "start what was stopped; nothing was replaced".to_owned()
        };
        if !converge::agreed(host, &Plan::default(), &[line], changing, Question::Yes)? {
            return Ok(Exit::Done);
        }
        let Some(manager) = self.manager().await? else { bail!(Fail::new("nothing is set up for this user")) };
        if is_new {
            return self.finish(&note, &manager).await;
        }
        let about = About::of(program).await?;
        self.set_going(&note.active, &about.version, &manager).await?;
        files::remove(&host.paths.upgrade_note())?;
        host.ui.say(&format!("Done: cicdctl {} is in its place and answers.", about.version));
        Ok(Exit::Done)
    }

    /// Runner and agents that are of another program than the installed one follow it.
    async fn follow(&self, changing: Changing) -> Result<Exit> {
        let Upgrade { host, program, .. } = self;
        let Some(manager) = self.manager().await? else {
            bail!(
                Fail::usage("`--from FILE` names the new program")
                    .hint("without it, units of yours follow the program that is installed; there are none")
            );
        };
        let about = About::of(program).await?;
        let mut stale = Vec::new();
        for unit in active(&manager).await? {
            let pid = manager.state(&unit).await?.main_pid;
            let exe = pid.and_then(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).ok());
            let is_other = exe.is_some_and(|exe| exe != *program);
            if is_other || !self.answers(&unit).await.is_ok_and(|version| version == about.version) {
                stale.push(unit);
            }
        }
        if stale.is_empty() {
            host.ui.say(&format!("Nothing to do: what runs is cicdctl {}, as it is installed.", about.version));
            return Ok(Exit::Done);
        }
        let lines = [format!("restart {}, so that they are cicdctl {}", quantity::list(&stale, 6), about.version)];
        if !converge::agreed(host, &Plan::default(), &lines, changing, Question::Yes)? {
            return Ok(Exit::Done);
        }
        let old = old_name(program);
        let agents = self.set_going(&stale, &about.version, &manager).await.map_err(|error| {
            error.context(
                Fail::new(format!("cicdctl {} is installed and does not work", about.version))
                    .hint(format!("`cicdctl logs` may say why; `{}` may be the one before it", old.display())),
            )
        })?;
        host.ui.say(&format!("Done: the runner{} as cicdctl {}.", who_answers(agents), about.version));
        Ok(Exit::Done)
    }

    /// Lets the program in its place apply its units, has the services restart, and asks each for its version; says how many
    /// agents answered.
    async fn set_going(&self, units: &[String], version: &str, manager: &Manager) -> Result<usize> {
        let all = async {
            let applied = tokio::process::Command::new(&self.program)
                .args(["apply", "--yes", "--quiet"])
                .stdin(std::process::Stdio::null())
                .kill_on_drop(true)
                .output()
                .await
                .with_context(|| format!("could not start `{}`", self.program.display()))?;
            if !applied.status.success() {
                let words = String::from_utf8_lossy(&applied.stderr).trim().to_owned();
                bail!("`{} apply` ended with {}: {words}", self.program.display(), applied.status);
            }
            for unit in units {
                // A start limit that was reached by the other program is not this one's.
                manager.reset_failed(unit).await;
            }
            for (unit, result) in manager.change(Verb::Restart, units).await? {
                result.with_context(|| format!("could not start `{unit}`"))?;
            }
            let mut agents = 0;
            let runner = RUNNER_SERVICE.to_owned();
            for unit in units.iter().chain(std::iter::once(&runner).filter(|runner| !units.contains(runner))) {
                let found = self.answers(unit).await?;
                if found != version {
                    bail!("`{unit}` answers as {found}, and not as {version}");
                }
                agents += usize::from(unit != RUNNER_SERVICE);
            }
            Ok(agents)
        };
        tokio::select! {
            done = all => done,
            late = self.too_late(units) => Err(late),
        }
    }

    /// The version that a service says on its socket, which wakes it.
    async fn answers(&self, unit: &str) -> Result<String> {
        let socket = match AgentName::of_unit(unit) {
            Some(agent) => self.host.paths.agent_socket(&agent),
            None => self.host.paths.runner_socket(),
        };
        let info = tokio::time::timeout(self.wait, Client::new(socket).info()).await;
        let info = info.map_err(|_| anyhow!("`{unit}` does not answer within {} s", self.wait.as_secs()))?;
        Ok(info.with_context(|| format!("`{unit}` does not answer"))?.version)
    }

    /// Ends when a unit has been starting for too long. How long an old one takes to stop is not held against the new.
    async fn too_late(&self, units: &[String]) -> anyhow::Error {
        let watch = async {
            let manager = self.host.manager().await?;
            let mut units = units.to_vec();
            if !units.iter().any(|unit| unit == RUNNER_SERVICE) {
                units.push(RUNNER_SERVICE.to_owned());
            }
            let mut since: Vec<Option<Instant>> = vec![None; units.len()];
            loop {
                for (unit, since) in units.iter().zip(&mut since) {
                    let state = manager.state(unit).await?;
                    let is_starting = state.active == "activating" || state.is_failed();
                    *since = is_starting.then(|| since.unwrap_or_else(Instant::now));
                    if since.is_some_and(|since| since.elapsed() > self.wait) {
                        let why = match state.result.as_deref() {
                            None | Some("success") => String::new(),
                            _ => format!(": {}", state.failure()),
                        };
                        bail!("`{unit}` was not ready within {} s{why}", self.wait.as_secs());
                    }
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        };
        let most = self.stop + 3 * self.wait;
        match tokio::time::timeout(most, watch).await {
            Ok(Ok(())) | Err(_) => anyhow!("it did not come to its end within {} s", most.as_secs()),
            Ok(Err(error)) => error,
        }
    }
}

/// Services of ours that run.
async fn active(manager: &Manager) -> Result<Vec<String>> {
    let loaded = manager.loaded(&PATTERNS[..2]).await?;
    let services: Vec<String> = loaded.into_iter().filter(|unit| unit.ends_with(".service")).collect();
    let states = manager.states(&services).await?;
    Ok(states.into_iter().filter(|state| state.is_active()).map(|state| state.name).collect())
}

/// Whether a file may be a program of this machine, and its hash.
fn examine(file: &Path, wanted: Option<&str>) -> Result<String> {
    let meta = file.metadata().with_context(|| format!("could not find `{}`", file.display()))?;
    if !meta.is_file() {
        bail!(Fail::new(format!("`{}` is no file", file.display())));
    }
    let found = sha256(file)?;
    if let Some(wanted) = wanted.map(|wanted| wanted.trim().to_lowercase()) {
        if wanted.len() != 64 || !wanted.chars().all(|c| c.is_ascii_hexdigit()) {
            bail!(Fail::usage("`--sha256` takes 64 hexadecimal digits"));
        }
        if wanted != found {
            bail!(
                Fail::new(format!("`{}` is not the file that was meant: its SHA-256 is {found}", file.display()))
                    .hint("get it anew, from where the SHA-256 is from")
            );
        }
    }
    if kind_of(file)? != kind_of(Path::new("/proc/self/exe"))? {
        bail!(
            Fail::new(format!("`{}` is no program of this machine", file.display()))
                .hint(format!("`--from` takes the cicdctl for {}, unpacked", std::env::consts::ARCH))
        );
    }
    if meta.permissions().mode() & 0o111 == 0 {
        bail!(
            Fail::new(format!("`{}` is not executable", file.display())).hint(format!("`chmod +x {}`", quoted(file)))
        );
    }
    Ok(found)
}

/// Class, byte order and machine of an ELF program (elf(5)).
fn kind_of(file: &Path) -> Result<Option<[u8; 4]>> {
    let mut head = [0; 20];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut head));
    Ok(match read {
        Ok(()) => head.starts_with(b"\x7fELF").then_some([head[4], head[5], head[18], head[19]]),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
        Err(error) => return Err(error).with_context(|| format!("could not read `{}`", file.display())),
    })
}

fn sha256(file: &Path) -> Result<String> {
    let hashed = std::fs::File::open(file).and_then(|mut file| files::copy_hashed(&mut file, &mut std::io::sink()));
    hashed.with_context(|| format!("could not read `{}`", file.display()))
}

fn who_answers(agents: usize) -> String {
    match agents {
        0 => " answers".to_owned(),
        agents => format!(" and {} answer", count(agents, "agent")),
    }
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+');
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beside_the_program() {
        let program = Path::new("/home/al ice/bin/cicdctl");
        assert_eq!(old_name(program), Path::new("/home/al ice/bin/cicdctl.old"));
        assert_eq!(staged(program).parent(), program.parent());
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }

    #[test]
    fn only_a_program_of_this_machine_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new");
        let refused = |wanted: Option<&str>| format!("{:#}", examine(&file, wanted).unwrap_err());
        std::fs::write(&file, "#!/bin/sh\necho cicdctl 9.9.9\n").unwrap();
        assert!(refused(None).contains("is no program of this machine"), "{}", refused(None));
        let ours = std::fs::read("/proc/self/exe").unwrap();
        let mut other = ours[..4096].to_vec();
        other[18] ^= 1;
        std::fs::write(&file, &other).unwrap();
        assert!(refused(None).contains("is no program of this machine"));
        std::fs::write(&file, &ours).unwrap();
        assert!(refused(None).contains("is not executable"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        let hash = examine(&file, None).unwrap();
        assert_eq!(examine(&file, Some(&hash.to_uppercase())).unwrap(), hash);
        assert!(refused(Some(&"0".repeat(64))).contains("is not the file that was meant"));
        assert!(refused(Some("abc")).contains("64 hexadecimal digits"));
    }
}
