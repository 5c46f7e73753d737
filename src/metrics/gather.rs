//! Reads what is shown: the store, the states of our services, the disk.

use anyhow::Result;
use jiff::Zoned;

use super::Snapshot;
use crate::config::Config;
use crate::disk;
use crate::host::Host;
use crate::review::budget;
use crate::store::{Payer, Store, now_ms};
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
        Some((totals, balances(store, &config).await.unwrap_or_default()))
    };
    let (units, work) = tokio::join!(units, work);
    let (totals, balances) = work.unzip();
    Snapshot {
        now_ms: now_ms(),
        agents,
        totals,
        balances: balances.unwrap_or_default(),
        units,
        disk_free: disk::room(&host.paths.state_dir).ok().map(|room| room.free),
        disk_floor: config.disk.min_free.0,
        connections: None,
    }
}

async fn balances(store: &Store, config: &Config) -> Result<Vec<crate::money::Balance>> {
    let caps = budget::caps(&config.budget, &Zoned::now())?;
    store.balances(Payer { project: String::new(), pull: None, agent: None }, caps).await
}
