//! `cicdctl agent add`: configuration, directories, drop-in, enable, start, proof.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::agent::AgentName;
use crate::api::client::Client;
use crate::cli::Changing;
use crate::command::doctor;
use crate::config::{self, Agent, AgentFile, EngineName, MIN_WATCH, Percent, Size, Source, Span};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::forge::github::{TOKEN, credentials};
use crate::git::Repository;
use crate::host::Host;
use crate::install::Manifest;
use crate::plain;
use crate::review;
use crate::systemd::Verb;

/// Add an agent for a project and start it
///
/// The agent gets a unit of its own, cicd-agent@NAME.service, with limits, a workspace and an engine home that no
/// other agent shares.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl agent add myapp --path ~/myapp
  cicdctl agent add shop --path ~/shop --repo acme/shop --cpu 50% --memory 1G")]
pub struct Args {
    /// Name of the agent: letters, digits, `-`, `_` and `.`
    name: String,
    /// Working copy of the project
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The project at the forge
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// CPU time, 100% being one CPU [default: 25%]
    #[arg(long, value_name = "SHARE")]
    cpu: Option<Percent>,
    /// Memory [default: 512M]
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// The engine that reviews this project
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// Review new heads of the repository's pull requests, looking for them at this interval, such as 60s
    ///
    /// The reviews are published; `--no-post` keeps them here.
    #[arg(long, value_name = "INTERVAL", requires = "repo")]
    watch: Option<Span>,
    /// Do not publish what `--watch` reviews
    #[arg(long, requires = "watch")]
    no_post: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let name: AgentName = args.name.parse().map_err(Fail::usage)?;
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let Some(mut manifest) = Manifest::load(&host.paths.manifest())? else {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init` first"));
    };
    let config = host.config()?;
    let path = host.paths.agent_file(&name);
    let text = file_text(&args, &name).await?;
    let present = files::read(&path)?;
    if let Some(present) = &present
        && present.trim() != text.trim()
    {
        bail!(Fail::new(format!("there is an agent `{name}` already, with other settings")).hint(format!(
            "edit `{}` and run `cicdctl apply`, or remove it with `cicdctl agent remove {name}`",
            path.display()
        )));
    }
    let agent = config::parse_agent(&name, Source { path: &path, text: &text }, &config)?;
    let mut agents = host.agents(&config)?;
    if let Some(other) =
        agents.iter().find(|other| other.name != name && other.path.is_some() && other.path == agent.path)
    {
        bail!(
            Fail::new(format!("agent `{}` has this working copy already", other.name))
                .hint(format!("`cicdctl agent show {}` shows it", other.name))
        );
    }
    if agents.iter().any(|other| other.name != name && other.watches().is_some() && other.watches() == agent.watches())
    {
        host.ui.warn("another agent watches this repository, too; each change will be reviewed by both");
    }
    agents.retain(|other| other.name != name);
    agents.push(agent.clone());

    let plan = converge::plan(host, &config, &agents, false)?;
    let manager = host.manager().await?;
    let mut running = manager.is_enabled(&name.socket()).await && manager.is_enabled(&name.service()).await;
    running &= manager.state(&name.socket()).await.is_ok_and(|state| state.is_active());
    if agent.watches().is_some() {
        // The others are woken by their socket.
        running &= manager.state(&name.service()).await.is_ok_and(|state| state.is_active());
    }
    let mut also = converge::unfinished(&manifest);
    if present.is_none() {
        also.push(format!("create {}", path.display()));
    }
    if !running {
        also.push(format!("enable and start {} and {}", name.socket(), name.service()));
    }
    if !converge::agreed(host, &plan, &also, args.changing, converge::Question::None)? {
        return Ok(Exit::Done);
    }
    if plan.is_empty() && also.is_empty() {
        host.ui.say(&format!("Nothing to change: agent `{name}` is there and its socket listens."));
        return Ok(Exit::Done);
    }
    converge::check_places(host)?;
    files::make_dir(&host.paths.agents_dir(), 0o700)?;
    for dir in ["engine-home", "workspace", "sessions"] {
        files::make_dir(&host.paths.agent_state(&name).join(dir), 0o700)?;
    }
    if present.is_none() {
        files::create(&path, text.as_bytes(), 0o600)?;
    }
    converge::apply(host, &plan, &mut manifest, &manager).await?;
    converge::enable(host, &mut manifest, &manager, &[&name.service(), &name.socket()]).await?;
    start(host, &manager, &name).await?;
    host.ui.say(&format!("Done: agent `{name}` answers on its socket."));
    host.ui.say(&format!("  configuration  {}", path.display()));
    if let Some(path) = &agent.path {
        host.ui.say(&format!("  project        {}", path.display()));
    }
    let proof = doctor::probe::of_agent(host, &manager, &name.service(), agent.config.hardening.level).await;
    // It runs; what could not be looked at is no reason to take it back.
    let proof = proof.unwrap_or_else(|error| format!("not proved: {}", review::reason(&error)));
    host.ui.say(&format!("  limits and hardening: {proof}"));
    host.ui.say(&format!("  undo           cicdctl agent remove {name}"));
    match agent.watches() {
        Some(repo) => {
            host.ui.say(&format!("  watches        {repo}, {}", published(&agent)));
            host.ui.say(&next_for_watch(host, &agent));
        }
        None => host.ui.say("Next: `cicdctl review HEAD~1..HEAD` in the working copy, then `cicdctl status`."),
    }
    Ok(Exit::Done)
}

fn published(agent: &Agent) -> &'static str {
    if agent.config.review.post { "and publishes its reviews" } else { "and publishes nothing" }
}

/// Without a token nothing is seen, and nobody would know before the first push.
fn next_for_watch(host: &Host, agent: &Agent) -> String {
    match credentials::find(host, &agent.config.forge.github) {
        Ok(Some(_)) => "Next: push to a pull request, then `cicdctl status`. What is open already is not reviewed; \
                        `[watch] backlog = true` changes that."
            .into(),
        Ok(None) => format!("Next: `cicdctl secret set {TOKEN}`; without a token it sees nothing."),
        Err(error) => format!("It sees nothing yet: {}", review::reason(&error)),
    }
}

async fn start(host: &Host, manager: &crate::systemd::Manager, name: &AgentName) -> Result<()> {
    manager
        .change_one(Verb::Start, &name.socket())
        .await
        .map_err(|error| crate::command::logs::with_last_lines(host, error, &name.socket()))?;
    manager
        .change_one(Verb::Start, &name.service())
        .await
        .map_err(|error| crate::command::logs::with_last_lines(host, error, &name.service()))?;
    Client::new(host.paths.agent_socket(name)).info().await?;
    Ok(())
}

async fn file_text(args: &Args, name: &AgentName) -> Result<String> {
    let path = match &args.path {
        Some(path) => {
            let full = path.canonicalize().map_err(|error| {
                Fail::new(format!("there is no directory `{}`: {error}", path.display()))
                    .hint("`--path` names a working copy on this host")
            })?;
            Some(Repository::open(&full).await?.top)
        }
        None => None,
    };
    if let Some(repo) = args.repo.as_ref().filter(|repo| !config::is_repo(repo)) {
        bail!(Fail::usage(format!("`{}` is no repository; it is written `owner/name`", plain::visible(repo))));
    }
    let mut file = AgentFile { path, repo: args.repo.clone(), ..AgentFile::default() };
    if let Some(cpu) = args.cpu {
        file.limits.insert("cpu".into(), cpu.to_string().into());
    }
    if let Some(memory) = args.memory {
        file.limits.insert("memory".into(), memory.to_string().into());
    }
    if let Some(engine) = args.engine {
        file.review.insert("engine".into(), engine.as_str().into());
    }
    if let Some(watch) = args.watch {
        if watch < MIN_WATCH {
            bail!(Fail::usage(format!("`--watch {watch}` is too often; write {MIN_WATCH} or more")));
        }
        file.watch.insert("interval".into(), watch.to_string().into());
        file.review.insert("post".into(), (!args.no_post).into());
    }
    Ok(format!(
        "# Agent `{name}` of cicdctl. After a change: `cicdctl apply`.\n\
         # [limits], [job], [review], [engine.*] and [watch] are laid over those of config.toml.\n\n{}",
        toml::to_string(&file)?
    ))
}
