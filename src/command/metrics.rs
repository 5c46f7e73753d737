//! `cicdctl metrics`: what Prometheus is to see, as text, and what goes with it.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::error::Exit;
use crate::files;
use crate::host::Host;
use crate::metrics::{self, gather};
use crate::store::Store;

/// Print metrics for Prometheus
///
/// The same as `GET /metrics` on the runner's socket, read without it: OpenMetrics 1.0. Counters are those of the store, so
/// they go on after a restart.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl metrics --textfile /var/lib/node_exporter/cicdctl.prom
  cicdctl metrics rules >/etc/prometheus/rules.d/cicdctl.yml")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Write them to this file, for node_exporter's textfile collector; it is old or new, never half
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum What {
    /// Print alerting rules for Prometheus
    Rules,
    /// Print a dashboard for Grafana
    Dashboard,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    match args.what {
        Some(What::Rules) => host.ui.data(include_str!("../../templates/metrics/rules.yml"))?,
        Some(What::Dashboard) => host.ui.data(include_str!("../../templates/metrics/dashboard.json"))?,
        None => {
            let store = host.paths.store().exists().then(|| Store::open(&host.paths.store())).transpose()?;
            let manager = host.manager().await.ok();
            let snapshot = gather::gather(host, store.as_ref(), manager.as_ref()).await;
            let text = snapshot.openmetrics().context("could not write the metrics")?;
            match args.textfile {
                // Its reader is another user.
                Some(file) => files::write(&std::path::absolute(&file)?, metrics::classic(&text).as_bytes(), 0o644)?,
                None => host.ui.data(&text)?,
            }
        }
    }
    Ok(Exit::Done)
}
