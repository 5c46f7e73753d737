//! `cicdctl agent`: the runners of single projects.

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

use crate::agent::AgentName;
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
    Start(change::Args),
    /// Stop agents and their sockets; running reviews are waited for
    Stop(change::Args),
    /// Restart agents; running reviews are waited for
    Restart(change::Args),
    Set(set::Args),
    Drain(drain::Args),
    Pause(pause::Args),
    /// Take a pause or a drain back
    Resume(pause::ResumeArgs),
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
        Command::Resume(args) => pause::resume(args, host).await,
        Command::Remove(args) => remove::run(args, host).await,
    }
}

/// The word for the runner among names of agents, unless an agent is called so.
const RUNNER: &str = "runner";

/// The agents that names and globs mean, and the runner where it is named. Their files may say what they like: who is to
/// be stopped need not be well configured.
fn scopes(host: &Host, names: &[String]) -> Result<Vec<Scope>> {
    let all: Vec<AgentName> = host.agent_names()?.into_iter().filter_map(Result::ok).collect();
    let mut scopes: Vec<Scope> = Vec::new();
    for name in names {
        if is_glob(name) {
            let glob = glob(name)?;
            let before = scopes.len();
            scopes.extend(all.iter().filter(|agent| glob.is_match(agent.as_str())).cloned().map(Scope::Agent));
            if scopes.len() == before {
                bail!(no_such(name));
            }
            continue;
        }
        let known = all.iter().find(|agent| agent.as_str() == name);
        match known {
            Some(agent) => scopes.push(Scope::Agent(agent.clone())),
            None if name == RUNNER => scopes.push(Scope::Runner),
            None => {
                let name: AgentName = name.parse().map_err(Fail::usage)?;
                // Says which there are.
                host.known_agent(&name, &host.config()?)?;
            }
        }
    }
    let mut seen: Vec<Scope> = Vec::new();
    for scope in scopes {
        if !seen.contains(&scope) {
            seen.push(scope);
        }
    }
    seen.sort_by(|a, b| a.agent().cmp(&b.agent()));
    Ok(seen)
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
    let all = host.agents(config)?;
    let mut chosen: Vec<Agent> = Vec::new();
    for name in names {
        if is_glob(name) {
            let glob = glob(name)?;
            let before = chosen.len();
            chosen.extend(all.iter().filter(|agent| glob.is_match(agent.name.as_str())).cloned());
            if chosen.len() == before {
                bail!(no_such(name));
            }
        } else {
            let name: AgentName = name.parse().map_err(Fail::usage)?;
            chosen.push(host.known_agent(&name, config)?);
        }
    }
    chosen.sort_by(|a, b| a.name.cmp(&b.name));
    chosen.dedup_by(|a, b| a.name == b.name);
    Ok(chosen)
}
