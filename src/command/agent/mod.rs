//! `cicdctl agent`: the runners of single projects.

pub use list::Row as ListRow;
pub use set::Row as SetRow;
pub use show::Shown;

mod add;
mod change;
mod drain;
mod list;
mod pause;
mod remove;
mod set;
mod show;

use anyhow::{Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;

use crate::command::complete;
use crate::config::{Agent, Config};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::runner::Scope;
use crate::store::Store;
use crate::systemd::Verb;
pub use pause::paused;

/// Manage agents: one for each project, with limits of its own
#[derive(Debug, Subcommand)]
pub enum Command {
    Add(add::Args),
    List(list::Args),
    Show(show::Args),
    /// Start agents and their sockets, those that failed too often, too
    #[command(after_help = "Examples:
  cicdctl agent start myapp
  cicdctl agent start 'web-*' runner")]
    Start(Names),
    /// Stop agents and their sockets; running reviews are waited for
    #[command(after_help = "Example:
  cicdctl agent stop myapp")]
    Stop(Names),
    /// Restart agents; running reviews are waited for
    #[command(after_help = "Example:
  cicdctl agent restart myapp")]
    Restart(Names),
    Set(set::Args),
    Drain(drain::Args),
    Pause(pause::Args),
    /// Take a pause or a drain back
    #[command(after_help = "Example:
  cicdctl agent resume myapp")]
    Resume(Names),
    Remove(remove::Args),
}

impl Command {
    pub fn yes(&self) -> bool {
        match self {
            Command::Add(args) => args.changing.yes,
            Command::Remove(args) => args.changing.yes,
            Command::Set(args) => args.changing.yes,
            _ => false,
        }
    }
}

pub async fn run(command: Command, host: &Host) -> Result<Exit> {
    match command {
        Command::Add(args) => add::run(args, host).await,
        Command::List(args) => list::run(&args, host).await,
        Command::Show(args) => show::run(args, host).await,
        Command::Start(args) => change::run(Verb::Start, &args, host).await,
        Command::Stop(args) => change::run(Verb::Stop, &args, host).await,
        Command::Restart(args) => change::run(Verb::Restart, &args, host).await,
        Command::Set(args) => set::run(args, host).await,
        Command::Drain(args) => drain::run(args, host).await,
        Command::Pause(args) => pause::run(args, host).await,
        Command::Resume(args) => pause::resume(&args, host).await,
        Command::Remove(args) => remove::run(args, host).await,
    }
}

/// The word for the runner among names of agents, unless an agent is called so.
const RUNNER: &str = "runner";

/// Whom a command is about.
#[derive(Debug, clap::Args)]
pub struct Names {
    /// Names of agents, or globs such as `web-*`; `runner` is the runner itself
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::scopes))]
    names: Vec<String>,
}

impl Names {
    fn scopes(&self, host: &Host) -> Result<Vec<Scope>> {
        scopes(&self.names, host)
    }
}

/// The agents that are meant, and the runner where it is named. Their files may say what they like: who is to be
/// stopped, or whose log is to be read, need not be well configured.
pub fn scopes(names: &[String], host: &Host) -> Result<Vec<Scope>> {
    let all = host.agent_names()?.into_iter().filter_map(Result::ok).map(Scope::Agent).collect::<Vec<_>>();
    let mut scopes = select(&all, names, Scope::name, |name| match name {
        RUNNER => Ok(Scope::Runner),
        // Says which there are.
        _ => Ok(Scope::Agent(host.known_agent(&name.parse().map_err(Fail::usage)?, &host.config()?)?.name)),
    })?;
    scopes.sort_by(|a, b| a.agent().cmp(&b.agent()));
    scopes.dedup();
    Ok(scopes)
}

/// What names and globs mean of `all`, each at least one; `other` is asked about a name that is none of them.
fn select<T: Clone>(
    all: &[T],
    names: &[String],
    name_of: impl Fn(&T) -> &str,
    other: impl Fn(&str) -> Result<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for name in names {
        if is_glob(name) {
            let glob = glob(name)?;
            let before = found.len();
            found.extend(all.iter().filter(|one| glob.is_match(name_of(one))).cloned());
            if found.len() == before {
                bail!(no_such(name));
            }
        } else {
            match all.iter().find(|one| name_of(one) == name) {
                Some(one) => found.push(one.clone()),
                None => found.push(other(name)?),
            }
        }
    }
    Ok(found)
}

/// The store, once something is set up.
fn store(host: &Host) -> Result<Store> {
    if !host.paths.manifest().exists() && !host.paths.store().exists() {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init` first"));
    }
    Store::open(&host.paths.store())
}

fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn glob(name: &str) -> Result<globset::GlobMatcher> {
    crate::globs::check_size(name).map_err(Fail::usage)?;
    let glob = globset::Glob::new(name).map_err(|error| Fail::usage(format!("`{name}` is no glob: {error}")))?;
    Ok(glob.compile_matcher())
}

fn no_such(name: &str) -> Fail {
    Fail::new(format!("no agent is called `{name}`")).hint("`cicdctl agent list` shows those there are")
}

/// The agents that names and globs mean; each must mean at least one.
fn chosen(host: &Host, config: &Config, names: &[String]) -> Result<Vec<Agent>> {
    let mut chosen = select(
        &host.agents(config)?,
        names,
        |agent| agent.name.as_str(),
        |name| host.known_agent(&name.parse().map_err(Fail::usage)?, config),
    )?;
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen.dedup_by(|a, b| a.name == b.name);
    Ok(chosen)
}
