//! `cicdctl agent remove`: stops an agent and removes what belongs to it alone.

use anyhow::{Result, bail};
use clap_complete::ArgValueCandidates;

use crate::cage;
use crate::cli::Changing;
use crate::command::complete;
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::review;
use crate::store::Store;
use crate::systemd::Verb;

/// Remove an agent with its configuration, unit and workspace
///
/// The working copy and the reviews that were made stay.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl agent remove myapp
  cicdctl agent remove 'web-*' --yes")]
pub struct Args {
    /// Names of agents, or globs such as `web-*`
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::agents))]
    names: Vec<String>,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let Some(mut manifest) = Manifest::load(&host.paths.manifest())? else {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init` first"));
    };
    let config = host.config()?;
    let chosen = super::chosen(host, &config, &args.names)?;
    let mut agents = host.agents(&config)?;
    agents.retain(|agent| chosen.iter().all(|gone| gone.name != agent.name));
    let plan = converge::plan(host, &config, &agents, false)?;
    let mut also = Vec::new();
    for agent in &chosen {
        also.push(format!("stop and disable {}, and cancel its jobs", agent.name.service()));
        also.push(format!("remove {}", host.paths.agent_file(&agent.name).display()));
        also.push(format!("remove {}", host.paths.agent_state(&agent.name).display()));
    }
    if !converge::agreed(host, &plan, &also, args.changing, converge::Question::No)? {
        return Ok(Exit::Done);
    }
    let manager = host.manager().await?;
    for agent in &chosen {
        let name = &agent.name;
        manager.change_one(Verb::Stop, &name.socket()).await?;
        manager.change_one(Verb::Stop, &name.service()).await?;
        manager.reset_failed(&name.service()).await;
        manager.disable(&[&name.service(), &name.socket()]).await?;
        crate::systemd::forget_set_properties(&host.paths, &[name.service(), name.socket()])?;
        // Engines go on without their agent.
        for job in review::engines(&host.paths.workspace(Some(name)))? {
            manager.change_one(Verb::Stop, &cage::unit_name(&job)).await?;
            manager.reset_failed(&cage::unit_name(&job)).await;
        }
        manifest.enabled.retain(|unit| *unit != name.service() && *unit != name.socket());
    }
    if host.paths.store().exists() {
        let store = Store::open(&host.paths.store())?;
        for agent in &chosen {
            store.forget_watches(&agent.name).await?;
            store.resume(Some(agent.name.clone()), false).await?;
            store.end_all(&agent.name, "its agent was removed").await?;
        }
    }
    for agent in &chosen {
        files::remove_tree(&host.paths.agent_state(&agent.name))?;
        files::remove(&host.paths.agent_socket(&agent.name))?;
    }
    converge::apply(host, &plan, &mut manifest, &manager).await?;
    // Last, so that an agent whose removal was ended half-way is still there to be removed.
    for agent in &chosen {
        files::remove(&host.paths.agent_file(&agent.name))?;
    }
    let names: Vec<&str> = chosen.iter().map(|agent| agent.name.as_str()).collect();
    host.ui.say(&format!("removed: {}", names.join(", ")));
    Ok(Exit::Done)
}
