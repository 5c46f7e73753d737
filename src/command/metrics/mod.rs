//! `cicdctl metrics`: what Prometheus is to see, as text, and what goes with it.

mod listen;

use std::net::SocketAddr;
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
  systemd-run --user --unit cicd-metrics cicdctl metrics --listen 127.0.0.1:9464
  cicdctl metrics rules >/etc/prometheus/rules.d/cicdctl.yml")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Write them to this file, for node_exporter's textfile collector; it is old or new, never half
    #[arg(long, value_name = "FILE")]
    textfile: Option<PathBuf>,
    /// Answer `GET /metrics` at this address of the loopback interface, until it is ended
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "textfile", value_parser = listen::parse)]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, clap::Subcommand)]
enum What {
    /// Print alerting rules for Prometheus
    #[command(after_help = "Example:
  cicdctl metrics rules >/etc/prometheus/rules.d/cicdctl.yml")]
    Rules,
    /// Print a dashboard for Grafana
    #[command(after_help = "Example:
  cicdctl metrics dashboard >cicdctl.json")]
    Dashboard,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    match args.what {
        Some(What::Rules) => host.ui.data(include_str!("../../../templates/metrics/rules.yml"))?,
        Some(What::Dashboard) => host.ui.data(include_str!("../../../templates/metrics/dashboard.json"))?,
        None => match (args.textfile, args.listen) {
            // Its reader is another user.
            (Some(file), _) => {
                let text = metrics::classic(&text(host).await?);
                files::write(&std::path::absolute(&file)?, text.as_bytes(), 0o644)?;
            }
            (None, Some(address)) => listen::serve(address, host).await?,
            (None, None) => host.ui.data(&text(host).await?)?,
        },
    }
    Ok(Exit::Done)
}

/// As it is now.
async fn text(host: &Host) -> Result<String> {
    let store = host.paths.store().exists().then(|| Store::open(&host.paths.store())).transpose()?;
    let manager = host.manager_to_ask().await.ok();
    gather::gather(host, store.as_ref(), manager.as_ref()).await.openmetrics().context("could not write the metrics")
}
