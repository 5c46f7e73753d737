//! `cicdctl agent start`, `stop` and `restart`: several names and globs at once, in one conversation with systemd.

use anyhow::{Result, bail};

use super::Names;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::runner::Scope;
use crate::store::Store;
use crate::systemd::Verb;

pub async fn run(verb: Verb, names: &Names, host: &Host) -> Result<Exit> {
    let scopes = names.scopes(host)?;
    if verb != Verb::Stop {
        // It would end at once, and its unit say no more than that. An agent goes on with its own file wrong.
        host.config()?;
    }
    let manager = host.manager().await?;
    // Whoever starts or stops it now does not mean an earlier drain any more.
    if host.paths.store().exists() {
        let store = Store::open(&host.paths.store())?;
        for scope in &scopes {
            // To write waits for the disk, and hardly any of them is drained.
            let agent = scope.agent();
            if store.paused(agent.cloned()).await?.is_some_and(|pause| pause.drains) {
                store.resume(agent.cloned(), true).await?;
            }
        }
    }
    let sockets: Vec<String> = scopes.iter().map(Scope::socket).collect();
    let services: Vec<String> = scopes.iter().map(Scope::service).collect();
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
    let names: Vec<&str> = scopes.iter().map(Scope::name).collect();
    let done = match verb {
        Verb::Start => "started",
        Verb::Stop => "stopped",
        Verb::Restart => "restarted",
    };
    host.ui.say(&format!("{done}: {}", names.join(", ")));
    Ok(Exit::Done)
}
