//! `cicdctl agent start`, `stop` and `restart`: several names and globs at once, in one conversation with systemd.

use anyhow::{Result, bail};

use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::systemd::Verb;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Names of agents, or globs such as `web-*`
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub async fn run(verb: Verb, args: &Args, host: &Host) -> Result<Exit> {
    let config = host.config()?;
    let agents = super::chosen(host, &config, &args.names)?;
    let manager = host.manager().await?;
    let sockets: Vec<String> = agents.iter().map(|agent| agent.name.socket()).collect();
    let services: Vec<String> = agents.iter().map(|agent| agent.name.service()).collect();
    // A stopped agent whose socket still listened would be woken by the next request.
    let units = match verb {
        Verb::Start | Verb::Stop => [sockets, services].concat(),
        Verb::Restart => services,
    };
    let mut failed = Vec::new();
    for (unit, result) in manager.change(verb, &units).await? {
        if let Err(error) = result {
            let error = error.context(format!("could not {} `{unit}`", verb.as_str()));
            host.ui.error(&crate::command::logs::with_last_lines(host, error, &unit));
            failed.push(unit);
        }
    }
    if !failed.is_empty() {
        bail!(Fail::new(format!("{} of {} did not follow", crate::quantity::count(failed.len(), "unit"), units.len())));
    }
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let done = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
    };
    host.ui.say(&format!("{done}: {}", names.join(", ")));
    Ok(Exit::Done)
}
