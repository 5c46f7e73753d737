//! `cicdctl config`: the configuration shown with its origin, changed with its comments kept, and checked.

pub use check::Mistake;

mod change;
mod check;
mod show;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;

use crate::agent::AgentName;
use crate::command::complete;
use crate::config::origin::{Layer, Setting, settings};
use crate::config::schema::{Key, Of, keys};
use crate::config::{self, Source, variable};
use crate::error::{Exit, Fail};
use crate::host::Host;

/// Show, change and check the configuration
#[derive(Debug, Subcommand)]
pub enum Command {
    Show(show::ShowArgs),
    Get(show::GetArgs),
    Set(change::SetArgs),
    Unset(change::UnsetArgs),
    Edit(change::EditArgs),
    Import(change::ImportArgs),
    Check(check::CheckArgs),
    Schema(check::SchemaArgs),
}

impl Command {
    pub fn yes(&self) -> bool {
        match self {
            Command::Set(args) => args.changing.yes,
            Command::Unset(args) => args.changing.yes,
            Command::Import(args) => args.changing.yes,
            _ => false,
        }
    }
}

pub fn run(command: Command, host: &Host) -> Result<Exit> {
    match command {
        Command::Show(args) => show::show(&args, host),
        Command::Get(args) => show::get(&args, host),
        Command::Set(args) => change::set(&args, host),
        Command::Unset(args) => change::unset(&args, host),
        Command::Edit(args) => change::edit(&args, host),
        Command::Import(args) => change::import(&args, host),
        Command::Check(args) => check::check(&args, host),
        Command::Schema(args) => check::schema(&args, host),
    }
}

/// Whose file a command is about.
#[derive(Debug, clap::Args)]
struct Whose {
    /// That of this agent, instead of your own
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::agents))]
    agent: Option<String>,
}

impl Whose {
    fn name(&self) -> Result<Option<AgentName>> {
        Ok(self.agent.as_ref().map(|name| name.parse().map_err(Fail::usage)).transpose()?)
    }

    fn of(&self) -> Of {
        if self.agent.is_some() { Of::Agent } else { Of::User }
    }

    /// The file that is to be changed; an agent's is there.
    fn file(&self, host: &Host) -> Result<PathBuf> {
        let Some(name) = self.name()? else {
            let file = host.own_config();
            if config::is_yaml(&file) {
                bail!(
                    Fail::new(format!("`{}` is YAML, which is read and not written", file.display()))
                        .hint("`cicdctl config import FILE` puts its settings into config.toml")
                );
            }
            return Ok(file);
        };
        let file = host.paths.agent_file(&name);
        if !file.exists() {
            // Says which agents there are.
            host.known_agent(&name, &host.config()?)?;
        }
        Ok(file)
    }

    /// Whether `text` could be that file.
    fn check(&self, host: &Host, file: &Path, text: &str) -> Result<()> {
        match self.name()? {
            Some(name) => config::parse_agent(&name, Source { path: file, text }, &host.config()?).map(drop),
            None => host.config_with(file, text).map(drop),
        }
    }

    /// The settings that hold, of all keys.
    fn settings(&self, host: &Host) -> Result<Vec<Setting>> {
        let user = host.config()?;
        let files = host.layers()?;
        let all = files.iter().map(|(path, text)| Source { path, text });
        let Some(name) = self.name()? else {
            let layers: Vec<Layer<'_>> = all.map(|source| Layer { source, name_of: its_own }).collect();
            return settings(&keys(Of::User), &toml::Table::try_from(&user)?, &layers);
        };
        let agent = host.known_agent(&name, &user)?;
        let mut effective = toml::Table::try_from(&agent.config)?;
        effective.insert("limits".into(), toml::Table::try_from(&agent.limits)?.into());
        if let (Some(own), Some(budget)) =
            (&agent.config.budget.agent, effective.get_mut("budget").and_then(toml::Value::as_table_mut))
        {
            budget.insert("day".into(), toml::Value::try_from(own.day)?);
            budget.insert("month".into(), toml::Value::try_from(own.month)?);
        }
        for (key, value) in [("path", agent.path.map(|path| path.display().to_string())), ("repo", agent.repo)] {
            effective.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        let file = host.paths.agent_file(&name);
        let text = crate::files::read(&file)?.unwrap_or_default();
        let own = Layer { source: Source { path: &file, text: &text }, name_of: its_own };
        let mut layers: Vec<Layer<'_>> = all.map(|source| Layer { source, name_of: of_an_agent }).collect();
        let first = layers.partition_point(|layer| !variable::is(layer.source.path));
        layers.insert(first, own);
        settings(&keys(Of::Agent), &effective, &layers)
    }

    /// The key of that name, or an error that says which was probably meant.
    fn key(&self, name: &str) -> Result<()> {
        let keys = keys(self.of());
        let is = |key: &Key| key.name == name || (key.open && name.strip_prefix(&key.name).is_some_and(is_below));
        if keys.iter().any(is) {
            return Ok(());
        }
        bail!(unknown(name, &keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>()))
    }
}

fn is_below(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

fn unknown(name: &str, known: &[&str]) -> Fail {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let meant = config::nearest_of(name, known.iter().copied())
        .or_else(|| known.iter().find(|key| key.rsplit('.').next() == Some(leaf)).map(|key| (*key).to_owned()));
    Fail::usage(format!("there is no key `{}`", name.escape_debug())).hint(match meant {
        Some(name) => format!("did you mean `{name}`? `cicdctl config show` lists them"),
        None => "`cicdctl config show` lists them".into(),
    })
}

fn its_own(key: &str) -> Option<String> {
    Some(key.to_owned())
}

/// What an agent's key is called in the user's file.
fn of_an_agent(key: &str) -> Option<String> {
    match key {
        "path" | "repo" | "budget.day" | "budget.month" => None,
        key if key.starts_with("limits.") => Some(format!("agents.{key}")),
        key => Some(key.to_owned()),
    }
}
