//! Reads what is shown: the store, the states of our services, the disk.

use anyhow::Result;
use jiff::Zoned;

use super::Snapshot;
use crate::agent::AgentName;
use crate::config::Config;
use crate::disk;
use crate::host::Host;
use crate::money::{Balance, Scope};
use crate::review::budget;
use crate::store::{Caps, Payer, Store, now_ms};
use crate::systemd::Manager;
use crate::unit::RUNNER_SERVICE;

/// What there is now. What cannot be had is left out: the rest is the more wanted then.
pub async fn gather(host: &Host, store: Option<&Store>, manager: Option<&Manager>) -> Snapshot {
    let config = host.config().unwrap_or_default();
    let agents: Vec<_> = host.agent_names().unwrap_or_default().into_iter().filter_map(Result::ok).collect();
    let services: Vec<String> =
        std::iter::once(RUNNER_SERVICE.to_owned()).chain(agents.iter().map(|name| name.service())).collect();
    let units = async {
        match manager {
            Some(manager) => manager.states(&services).await.unwrap_or_else(|error| {
                tracing::debug!("no units in the metrics: {error:#}");
                Vec::new()
            }),
            None => Vec::new(),
        }
    };
    let work = async {
        let store = store?;
        let totals = store.totals().await.map_err(|error| tracing::warn!("no jobs in the metrics: {error:#}")).ok()?;
        let money = balances(host, store, &config, &agents).await.unwrap_or_default();
        Some((totals, money, store.expiries().await.unwrap_or_default()))
    };
    let (units, work) = tokio::join!(units, work);
    let (totals, (balances, agent_balances), credentials) = match work {
        Some((totals, money, credentials)) => (Some(totals), money, credentials),
        None => Default::default(),
    };
    Snapshot {
        now_ms: now_ms(),
        agents,
        totals,
        balances,
        agent_balances,
        credentials,
        units,
        disk_free: disk::room(&host.paths.state_dir).ok().map(|room| room.free),
        disk_floor: config.disk.min_free.0,
        connections: None,
    }
}

/// Those of all, and those that agents have for themselves. Of pull requests and projects there are too many.
async fn balances(
    host: &Host,
    store: &Store,
    config: &Config,
    agents: &[AgentName],
) -> Result<(Vec<Balance>, Vec<(AgentName, Balance)>)> {
    let now = Zoned::now();
    let caps = budget::caps(&config.budget, &now)?;
    let spending = store.agents_spending(caps.day_ms, caps.month_ms).await?;
    let mut of_agents = Vec::new();
    for name in agents {
        let Ok(Some(agent)) = host.agent(name, config) else { continue };
        for (scope, cap) in budget::caps(&agent.config.budget, &now)?.caps {
            if matches!(scope, Scope::AgentDay | Scope::AgentMonth) {
                let (spent, held) = spending.get(&(name.clone(), scope)).copied().unwrap_or_default();
                of_agents.push((name.clone(), Balance { scope, cap, spent, held }));
            }
        }
    }
    let payer = Payer { project: String::new(), pull: None, agent: None };
    let all = Caps { caps: caps.caps.into_iter().filter(|(scope, _)| is_over_all(*scope)).collect(), ..caps };
    Ok((store.balances(payer, all).await?, of_agents))
}

fn is_over_all(scope: Scope) -> bool {
    matches!(scope, Scope::Day | Scope::Month)
}
