//! `cicdctl agent show`: all that holds for one agent.

use anyhow::Result;
use clap_complete::ArgValueCandidates;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::complete;
use crate::command::status;
use crate::config::{Agent, JobConfig, ReviewConfig};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::plain;
use crate::runner::Scope;
use crate::store::{Pause, Store};
use crate::systemd::UnitState;

/// Show one agent: project, limits, engine, units, state
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl agent show myapp")]
pub struct Args {
    /// Name of the agent
    #[arg(add = ArgValueCandidates::new(complete::agents))]
    name: String,
}

/// An agent with what holds for it, as `--json` has it.
#[derive(Serialize, JsonSchema)]
pub struct Shown {
    agent: Agent,
    review: ReviewConfig,
    job: JobConfig,
    watch: Option<status::Watching>,
    pause: Option<Pause>,
    service: UnitState,
    socket: UnitState,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let name = args.name.parse().map_err(Fail::usage)?;
    let config = host.config()?;
    let agent = host.known_agent(&name, &config)?;
    let manager = host.manager().await?;
    let (service, socket) = (manager.state(&name.service()).await?, manager.state(&name.socket()).await?);
    let store = host.paths.store().exists().then(|| Store::open(&host.paths.store())).transpose()?;
    let watch = status::watch_of(store.as_ref(), &agent).await?;
    let pause = super::paused(store.as_ref(), &Scope::Agent(name.clone())).await;
    if host.ui.json {
        let (review, job) = (agent.config.review.clone(), agent.config.job.clone());
        host.ui.data_json(&Shown { agent, review, job, watch, pause, service, socket })?;
        return Ok(Exit::Done);
    }
    let limits = &agent.limits;
    let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let rows = [
        ("agent", name.to_string()),
        ("state", status::held_word(status::word(Some(&service), Some(&socket)), pause.as_ref()).to_owned()),
        ("paused", or_dash(pause.map(|pause| plain::visible(&pause.in_words())))),
        ("project", or_dash(agent.path.as_ref().map(|path| path.display().to_string()))),
        ("repository", or_dash(agent.repo.clone())),
        ("watch", or_dash(watch.as_ref().map(status::Watching::in_words))),
        ("last trouble", or_dash(watch.as_ref().and_then(status::Watching::last_failure))),
        ("published", if agent.config.review.post { "yes" } else { "only where it is asked for" }.to_owned()),
        ("engine", agent.config.review.engine.as_str().to_owned()),
        ("cpu", or_dash(limits.cpu.map(|cpu| cpu.to_string()))),
        ("memory", or_dash(limits.memory.map(|memory| memory.to_string()))),
        ("tasks", or_dash(limits.tasks.map(|tasks| tasks.to_string()))),
        (
            "each job",
            format!(
                "memory {}, tasks {}, {} at most",
                agent.config.job.memory, agent.config.job.tasks, agent.config.job.timeout
            ),
        ),
        ("units", format!("{} {}", name.service(), name.socket())),
        ("socket", host.paths.agent_socket(&name).display().to_string()),
        ("file", host.paths.agent_file(&name).display().to_string()),
    ];
    let text: String = rows.iter().map(|(key, value)| format!("{key:13}{value}\n")).collect();
    host.ui.data(&text)?;
    Ok(Exit::Done)
}
