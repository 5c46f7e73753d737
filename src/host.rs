//! What a command may touch, made once in `main`: environment, paths, configuration and connections. Nothing below
//! asks the environment itself.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::agent::AgentName;
use crate::config::{self, Agent, Config, Source};
use crate::engine::pin::Pins;
use crate::error::Fail;
use crate::files;
use crate::host_wide;
use crate::install;
use crate::secret::{self, Vault};
use crate::skill::{self, Catalog, HostFile, Problem};
use crate::systemd::Manager;
use crate::ui::Ui;
use crate::unit::{self, Places};

/// Where everything is (design 4; XDG Base Directory Specification).
#[derive(Debug, Clone)]
pub struct Paths {
    pub home: PathBuf,
    pub config_dir: PathBuf,
    pub config_home: PathBuf,
    pub state_dir: PathBuf,
    pub cache_dir: PathBuf,
    pub runtime_dir: PathBuf,
}

impl Paths {
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("config.toml")
    }

    pub fn agents_dir(&self) -> PathBuf {
        self.config_dir.join("agents")
    }

    pub fn agent_file(&self, name: &AgentName) -> PathBuf {
        self.agents_dir().join(format!("{name}.toml"))
    }

    /// Skills of the user's own.
    pub fn skills_dir(&self) -> PathBuf {
        self.config_dir.join("skills")
    }

    /// Which programs may be engines, as `cicdctl engine pin` wrote it.
    pub fn pins(&self) -> Pins {
        Pins { file: self.config_dir.join("engines.lock"), digests: self.cache_dir.join("engine-digests.json") }
    }

    pub fn credentials_dir(&self) -> PathBuf {
        self.config_dir.join("credentials")
    }

    pub fn unit_dir(&self) -> PathBuf {
        self.config_home.join("systemd/user")
    }

    pub fn environment_file(&self) -> PathBuf {
        self.config_home.join("environment.d/cicd-toolkit.conf")
    }

    pub fn store(&self) -> PathBuf {
        self.state_dir.join("store.db")
    }

    /// What `init` made and set, so that `uninstall` takes back just that.
    pub fn manifest(&self) -> PathBuf {
        self.state_dir.join(install::FILE)
    }

    /// An upgrade that has begun.
    pub fn upgrade_note(&self) -> PathBuf {
        self.state_dir.join("upgrade.json")
    }

    /// The manifest until its directory is there.
    pub fn first_note(&self) -> PathBuf {
        self.runtime_dir.join("cicd-toolkit-install.json")
    }

    /// Where the jobs of the runner, or of one agent, have their directories.
    pub fn workspace(&self, agent: Option<&AgentName>) -> PathBuf {
        match agent {
            Some(name) => self.agent_state(name).join("workspace"),
            None => self.state_dir.join("workspace"),
        }
    }

    /// What the engine keeps between jobs.
    pub fn engine_home(&self, agent: Option<&AgentName>) -> PathBuf {
        match agent {
            Some(name) => self.agent_state(name).join("engine-home"),
            None => self.state_dir.join("engine-home"),
        }
    }

    pub fn agent_state(&self, name: &AgentName) -> PathBuf {
        self.state_dir.join("agents").join(name.as_str())
    }

    /// Used where no journal can be read.
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("runner.log")
    }

    pub fn runner_socket(&self) -> PathBuf {
        self.runtime_dir.join("cicd-runner.sock")
    }

    pub fn agent_socket(&self, name: &AgentName) -> PathBuf {
        self.runtime_dir.join("cicd-toolkit/agents").join(format!("{name}.sock"))
    }

    /// What is the user's own and not below a directory that `ProtectHome=` is about (systemd.exec(5)), the outermost only.
    /// As it really is: a home may be a symlink to elsewhere.
    pub fn beside_home(&self) -> Vec<PathBuf> {
        let uid = rustix::process::getuid().as_raw();
        let own = [&self.home, &self.config_dir, &self.state_dir, &self.cache_dir].map(PathBuf::as_path);
        let all: Vec<PathBuf> = own
            .into_iter()
            // The home of a user of the system may be a directory that all need.
            .filter(|dir| dir.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == uid))
            .chain([Path::new(host_wide::VAR)].into_iter().filter(|dir| dir.is_dir()))
            .filter_map(|dir| dir.canonicalize().ok())
            .collect();
        let is_hidden = |dir: &Path| ["/home", "/root", "/run/user"].iter().any(|home| dir.starts_with(home));
        let is_within = |dir: &Path| all.iter().any(|other| other != dir && dir.starts_with(other));
        let mut outermost: Vec<PathBuf> =
            all.iter().filter(|dir| !is_hidden(dir) && !is_within(dir) && dir.parent().is_some()).cloned().collect();
        outermost.dedup();
        outermost
    }

    /// The link by which the runner has the name of the deployment guide.
    pub fn runner_link(&self) -> PathBuf {
        self.home.join(".local/bin/cicd-runner")
    }
}

/// The machine and the user, as this process sees them.
pub struct Host {
    pub ui: Ui,
    pub paths: Paths,
    pub uid: u32,
    pub user: String,
    /// The home directory that the user database has, which is what the user's manager takes it from.
    known_home: Option<PathBuf>,
    /// This program's executable, symlinks resolved.
    pub program: PathBuf,
    environment: HashMap<String, String>,
    config_override: Option<PathBuf>,
    secrets: Arc<secret::Memory>,
    known: Arc<Mutex<Option<Known>>>,
    agents: Arc<Mutex<Agents>>,
}

/// The configuration as it was read last, and the files that it was read from, there or not.
#[derive(Debug)]
struct Known {
    files: Vec<(PathBuf, Option<FileStamp>)>,
    config: Config,
}

/// Agents as they were read last: a runner with hundreds of them looks through all of them for every request.
#[derive(Debug, Default)]
struct Agents {
    config: Config,
    /// Each with what its file was then.
    by_file: HashMap<PathBuf, (FileStamp, Agent)>,
}

/// What changes when somebody writes a file, or puts another in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    place: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl FileStamp {
    /// In seconds. A clock ticks slowly: of a file that was changed just now, a second change may not show.
    const SETTLED: i64 = 2;

    /// Of a file that is not there `Ok(None)`; an error where what is read now may not be what is read next.
    fn look(path: &Path) -> std::io::Result<Option<FileStamp>> {
        let meta = match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            meta => meta?,
        };
        if crate::store::now_ms() / 1000 - meta.ctime() < Self::SETTLED {
            return Err(ErrorKind::ResourceBusy.into());
        }
        Ok(Some(FileStamp {
            place: (meta.dev(), meta.ino()),
            size: meta.len(),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }))
    }

    fn of(path: &Path) -> Option<FileStamp> {
        FileStamp::look(path).ok().flatten()
    }
}

impl Host {
    pub fn new(ui: Ui, environment: HashMap<String, String>, config_override: Option<PathBuf>) -> Result<Host> {
        let uid = rustix::process::getuid().as_raw();
        let user = nix::unistd::User::from_uid(uid.into()).ok().flatten();
        let base = directories::BaseDirs::new()
            .context(Fail::new("this user has no home directory").hint("set HOME to a directory that you own"))?;
        let name = |dir: &Path| dir.join("cicd-toolkit");
        let state_dir = name(base.state_dir().context("no state directory")?);
        // What was there before stays where it is, and so does what the user has put elsewhere.
        let is_usual = state_dir == host_wide::usual_state_dir(base.home_dir());
        let given = host_wide::state_dir(uid)
            .filter(|given| is_usual && (!state_dir.exists() || given.join(install::FILE).exists()));
        let paths = Paths {
            home: base.home_dir().to_owned(),
            config_dir: name(base.config_dir()),
            config_home: base.config_dir().to_owned(),
            state_dir: given.unwrap_or(state_dir),
            cache_dir: name(base.cache_dir()),
            // Absent in `su`, cron and the like; logind's place is the same for everybody.
            runtime_dir: base.runtime_dir().map_or_else(|| PathBuf::from(format!("/run/user/{uid}")), Path::to_owned),
        };
        Ok(Host {
            ui,
            paths,
            uid,
            known_home: user.as_ref().map(|user| user.dir.clone()),
            user: user.map_or_else(|| uid.to_string(), |user| user.name),
            program: std::env::current_exe().context("could not find this program's own file")?,
            secrets: Arc::new(secret::Memory::new(|name| environment.get(name).map(String::as_str))),
            environment,
            config_override,
            known: Arc::default(),
            agents: Arc::default(),
        })
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.environment.keys().map(String::as_str)
    }

    /// The configuration file that was named in place of the user's.
    pub fn config_override(&self) -> Option<&Path> {
        self.config_override.as_deref()
    }

    /// The user's secrets.
    pub fn vault(&self) -> Vault {
        Vault::new(self.paths.credentials_dir(), self.paths.environment_file(), self.secrets.clone())
    }

    /// What this process knows of them, for texts that must not have them in them.
    pub fn secrets(&self) -> &Arc<secret::Memory> {
        &self.secrets
    }

    pub async fn manager(&self) -> Result<Manager> {
        Manager::connect(self.bus_address()?, &self.paths.runtime_dir).await
    }

    /// As [`Host::manager`], to only ask it about many units.
    pub async fn manager_to_ask(&self) -> Result<Manager> {
        Manager::connect_to_ask(self.bus_address()?, &self.paths.runtime_dir).await
    }

    fn bus_address(&self) -> Result<Option<&str>> {
        let owner = std::fs::metadata(&self.paths.runtime_dir).map(|meta| meta.uid());
        if owner.is_ok_and(|owner| owner != self.uid) {
            bail!(
                Fail::new(format!("`{}` belongs to another user", self.paths.runtime_dir.display()))
                    .hint("XDG_RUNTIME_DIR is left over from somebody else's login; unset it, or log in by ssh")
            );
        }
        // An address from the environment may belong to another user (`su` keeps it); the runtime directory cannot.
        Ok(self.variable("DBUS_SESSION_BUS_ADDRESS").filter(|_| self.variable("XDG_RUNTIME_DIR").is_some()))
    }

    /// Whether there is a user manager to talk to at all.
    pub fn has_manager(&self) -> bool {
        self.paths.runtime_dir.join("systemd/private").exists() || self.paths.runtime_dir.join("bus").exists()
    }

    /// The user's configuration: the host's layers, then the user's own file (or the one named by `--config`).
    pub fn config(&self) -> Result<Config> {
        // Before they are read: what is written meanwhile shows at the next look.
        let look = |path: PathBuf| FileStamp::look(&path).map(|stamp| (path, stamp));
        let files = self.config_files().into_iter().map(look).collect::<std::io::Result<Vec<_>>>().ok();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(files), Some(known)) = (&files, &*known)
            && *files == known.files
        {
            return Ok(known.config.clone());
        }
        let config = parse_layers(&self.layers()?)?;
        *known = files.map(|files| Known { files, config: config.clone() });
        Ok(config)
    }

    /// Where the configuration may be, the weakest first.
    fn config_files(&self) -> Vec<PathBuf> {
        host_wide::config_files().into_iter().chain([self.own_config()]).collect()
    }

    /// What the administrator has set for all users of this host.
    pub fn config_of_host(&self) -> Result<Config> {
        parse_layers(&read_layers(host_wide::config_files())?)
    }

    /// The configuration as it would be with this text as the user's own file.
    pub fn config_with(&self, own: &Path, text: &str) -> Result<Config> {
        let mut layers = read_layers(host_wide::config_files())?;
        layers.push((own.to_owned(), text.to_owned()));
        parse_layers(&layers)
    }

    /// The files that there are, with their texts, and the variables that are set.
    pub fn layers(&self) -> Result<Vec<(PathBuf, String)>> {
        if let Some(own) = &self.config_override
            && !own.exists()
        {
            if !config::is_yaml(own) {
                bail!(Fail::configuration(format!("the configuration `{}` does not exist", own.display())));
            }
            // The units of the deployment guide name one, and its reader may not have written it yet.
            tracing::warn!("`{}` does not exist; going on with the defaults", own.display());
        }
        let mut layers = read_layers(self.config_files())?;
        layers.extend(config::variable::layers(
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        )?);
        Ok(layers)
    }

    /// The user's own configuration file, there or not.
    pub fn own_config(&self) -> PathBuf {
        self.config_override.clone().unwrap_or_else(|| self.paths.config_file())
    }

    pub fn agents(&self, config: &Config) -> Result<Vec<Agent>> {
        let mut agents = Vec::new();
        for name in self.agent_names()? {
            agents.extend(self.agent(&name?, config)?);
        }
        Ok(agents)
    }

    /// Those that have a file, whatever is in it.
    pub fn agent_names(&self) -> Result<Vec<Result<AgentName>>> {
        let files = files::names(&self.paths.agents_dir())?;
        let names = files.iter().filter_map(|file| {
            let path = self.paths.agents_dir().join(file);
            let wrong = |problem| Fail::configuration(format!("`{}`: {problem}", path.display())).into();
            Some(file.strip_suffix(".toml")?.parse().map_err(wrong))
        });
        Ok(names.collect())
    }

    pub fn agent(&self, name: &AgentName, config: &Config) -> Result<Option<Agent>> {
        self.see(name, config, Agent::clone)
    }

    /// What is looked for at the agent of that name, without a copy of all that it is: who looks through hundreds of
    /// them wants one.
    pub fn see<T>(&self, name: &AgentName, config: &Config, look: impl FnOnce(&Agent) -> T) -> Result<Option<T>> {
        let path = self.paths.agent_file(name);
        // Before it is read: what is written meanwhile shows at the next look.
        let stamp = FileStamp::of(&path);
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if agents.config != *config {
            *agents = Agents { config: config.clone(), by_file: HashMap::new() };
        }
        if let (Some(stamp), Some((known, agent))) = (stamp, agents.by_file.get(&path))
            && *known == stamp
        {
            return Ok(Some(look(agent)));
        }
        let Some(text) = read_config(&path)? else {
            agents.by_file.remove(&path);
            return Ok(None);
        };
        let agent = config::parse_agent(name, Source { path: &path, text: &text }, config)?;
        let seen = look(&agent);
        if let Some(stamp) = stamp {
            agents.by_file.insert(path, (stamp, agent));
        }
        Ok(Some(seen))
    }

    /// The agent of the project that `path` is in. One project may lie within another: the innermost is meant.
    pub fn owner_of(&self, path: &Path, config: &Config) -> Result<Option<Agent>> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let place = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        // What the path is in, the outermost last. A project may be reached by another path, so it is known by what it
        // is; one that is not there by its name.
        let above: Vec<_> = path.ancestors().map(|dir| (dir, place(dir))).collect();
        let depth = |agent: &Agent| {
            let of = agent.path.as_ref()?;
            let (is, of) = (place(of), of.as_path());
            let distance = above.iter().position(|(dir, at)| if is.is_some() { *at == is } else { *dir == of })?;
            Some(above.len() - distance)
        };
        let mut owner = None;
        for name in self.agent_names()? {
            let name = name?;
            match self.see(&name, config, depth) {
                // What is wrong with one agent is no concern of the others' projects.
                Err(error) if may_own(&self.paths.agent_file(&name), &path) => return Err(error),
                Err(_) => {}
                Ok(depth) => owner = owner.max(depth.flatten().map(|depth| (depth, name))),
            }
        }
        Ok(owner.map(|(_, name)| self.agent(&name, config)).transpose()?.flatten())
    }

    /// The agent of that name, or an error that says which ones there are.
    pub fn known_agent(&self, name: &AgentName, config: &Config) -> Result<Agent> {
        if let Some(agent) = self.agent(name, config)? {
            return Ok(agent);
        }
        let names: Vec<String> = self.agents(config)?.into_iter().map(|agent| format!("`{}`", agent.name)).collect();
        let hint = if names.is_empty() {
            format!("there are none yet; add it with `cicdctl agent add {name} --path DIR`")
        } else {
            format!("there are {}; `cicdctl agent list` shows them", names.join(", "))
        };
        bail!(Fail::new(format!("there is no agent `{name}`")).hint(hint))
    }

    /// All skills: embedded ones, those of the machine, those of the user. A file with something wrong in it is an error
    /// only for who wants its skill.
    pub fn skills(&self) -> Result<Catalog> {
        let mut all = Vec::new();
        for dir in [host_wide::skills_dir().as_path(), &self.paths.skills_dir()] {
            all.extend(skill_files(dir)?);
        }
        Ok(Catalog::new(all))
    }

    /// What the unit files must say about places.
    pub fn places(&self) -> Result<Places> {
        for (path, what) in [(&self.program, "this program"), (&self.paths.state_dir, "the state directory")] {
            if path.to_str().is_none_or(|text| text.chars().any(char::is_control)) {
                bail!("the path of {what} has characters in it that no unit file can hold: {}", path.display());
            }
        }
        let mut environment = vec![("PATH".to_owned(), unit::search_path(&self.paths.home))];
        for (name, default) in
            [("XDG_CONFIG_HOME", ".config"), ("XDG_STATE_HOME", ".local/state"), ("XDG_CACHE_HOME", ".cache")]
        {
            if let Some(value) = self.variable(name).filter(|value| Path::new(value) != self.paths.home.join(default)) {
                environment.push((name.to_owned(), value.to_owned()));
            }
        }
        let is_host_wide = host_wide::is_set_up();
        let present = files::read(&self.paths.environment_file())?.unwrap_or_default();
        let secrets = secret::environment::secrets(&present).into_iter();
        Ok(Places {
            secrets: secrets.filter_map(|found| Some((found.name, found.value?))).collect(),
            program: self.program.clone(),
            unit_dir: self.paths.unit_dir(),
            environment_file: self.paths.environment_file(),
            home: self.known_home.clone(),
            is_host_wide,
            // The units of a host name the usual directory and the one that it gives, whichever a user has.
            state_dir: match is_host_wide && host_wide::state_dir(self.uid).as_ref() == Some(&self.paths.state_dir) {
                true => host_wide::usual_state_dir(&self.paths.home),
                false => self.paths.state_dir.clone(),
            },
            cache_dir: self.paths.cache_dir.clone(),
            environment,
        })
    }

    /// An executable by name, on the caller's PATH and in the usual places of the user.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.find_program_in(self.variable("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin"), name)
    }

    /// The same on another PATH, such as that of the units.
    pub fn find_program_in(&self, path: &str, name: &str) -> Option<PathBuf> {
        let own = [".local/bin", ".claude/local", ".npm-global/bin"].map(|dir| self.paths.home.join(dir));
        std::env::split_paths(path).chain(own).map(|dir| dir.join(name)).find(|file| {
            use std::os::unix::fs::PermissionsExt;
            file.is_absolute()
                && file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
    }
}

/// Whether the agent of a file that is wrong could be that of a project: its `path` is above, or cannot be told.
fn may_own(file: &Path, project: &Path) -> bool {
    let Some(table) = read_config(file).ok().flatten().and_then(|text| text.parse::<toml::Table>().ok()) else {
        return true;
    };
    match table.get("path").and_then(toml::Value::as_str).map(Path::new) {
        Some(path) if path.is_absolute() => project.starts_with(path.canonicalize().as_deref().unwrap_or(path)),
        _ => !table.contains_key("repo"),
    }
}

/// `NAME.md` and `NAME/SKILL.md` of a directory. It may itself be reached by a symlink, but none leads out of it: what
/// an engine is told must be where whoever keeps this directory looks for it.
fn skill_files(dir: &Path) -> Result<Vec<HostFile>> {
    let mut found: BTreeMap<String, HostFile> = BTreeMap::new();
    for file in files::names(dir)? {
        let path = dir.join(&file);
        let (name, path) = match file.strip_suffix(".md") {
            _ if file.starts_with('.') => continue,
            Some(name) => (name.to_owned(), path),
            // A directory that holds something else is nobody's fault; one that cannot be looked into is.
            None => match std::fs::symlink_metadata(path.join(skill::INNER_FILE)) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                _ => (file, path.join(skill::INNER_FILE)),
            },
        };
        let text = match found.get(&name) {
            Some(other) => Err(Problem::of_file(format!(
                "`{}` is there, too: which of them is the skill `{name}`? Remove one",
                other.path.display()
            ))),
            None => read_skill(dir, &path),
        };
        found.insert(name.clone(), HostFile { name, path, text });
    }
    Ok(found.into_values().collect())
}

fn read_skill(dir: &Path, path: &Path) -> Result<String, Problem> {
    let real =
        |path: &Path| path.canonicalize().map_err(|error| Problem::of_file(format!("it cannot be read: {error}")));
    let target = real(path)?;
    if !target.starts_with(real(dir)?) {
        return Err(Problem::of_file(format!(
            "it is a symlink that leads to `{}`; copy the file here",
            target.display()
        )));
    }
    match files::read_untrusted(&target, skill::MAX_FILE) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(Problem::of_file("it is gone")),
        Err(error) => Err(Problem::of_file(error.root_cause().to_string())),
    }
}

/// Those of the files that are there.
fn read_layers(files: impl IntoIterator<Item = PathBuf>) -> Result<Vec<(PathBuf, String)>> {
    let read = |path: PathBuf| Ok(read_config(&path)?.map(|text| (path, text)));
    files.into_iter().map(read).filter_map(Result::transpose).collect()
}

fn parse_layers(layers: &[(PathBuf, String)]) -> Result<Config> {
    config::parse_config(&layers.iter().map(|(path, text)| Source { path, text }).collect::<Vec<_>>())
}

fn read_config(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(config::utf8(path, bytes)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(config::unreadable(path, &error)),
    }
}
