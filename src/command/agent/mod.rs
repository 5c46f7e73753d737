//! `cicdctl agent`: the runners of single projects.

mod add;
mod change;
mod list;
mod remove;
mod show;

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::agent::AgentName;
use crate::config::{Agent, Config};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::systemd::Verb;

/// Manage agents: one for each project, with limits of its own
#[derive(Debug, Subcommand)]
pub enum Command {
    Add(add::Args),
    List(list::Args),
    Show(show::Args),
    /// Start agents and their sockets
    Start(change::Args),
    /// Stop agents and their sockets; running reviews are waited for
    Stop(change::Args),
    /// Restart agents; running reviews are waited for
    Restart(change::Args),
    Remove(remove::Args),
}

impl Command {
    pub fn yes(&self) -> bool {
        match self {
            Command::Add(args) => args.changing.yes,
            Command::Remove(args) => args.changing.yes,
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
        Command::Remove(args) => remove::run(args, host).await,
    }
}

/// The agents that names and globs mean; each must mean at least one.
fn chosen(host: &Host, config: &Config, names: &[String]) -> Result<Vec<Agent>> {
    let all = host.agents(config)?;
    let mut chosen: Vec<Agent> = Vec::new();
    for name in names {
        if name.contains(['*', '?', '[']) {
            crate::globs::check_size(name).map_err(Fail::usage)?;
            let glob = globset::Glob::new(name)
                .map_err(|error| Fail::usage(format!("`{name}` is no glob: {error}")))?
                .compile_matcher();
            let before = chosen.len();
            chosen.extend(all.iter().filter(|agent| glob.is_match(agent.name.as_str())).cloned());
            if chosen.len() == before {
                bail!(
                    Fail::new(format!("no agent is called `{name}`"))
                        .hint("`cicdctl agent list` shows those there are")
                );
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
