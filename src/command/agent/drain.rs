//! `cicdctl agent drain`: no new job, what runs runs to its end however long that takes, then the agent is stopped. The
//! agent does all of that by itself, so whoever waits here may go away.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Names;
use crate::config::Span;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::quantity::{self, count};
use crate::runner::Scope;
use crate::store::{Pause, Store};
use crate::systemd::{Manager, Verb};

/// How often is looked how far they are.
const LOOK: Duration = Duration::from_millis(300);

/// Let agents finish what runs, then stop them
///
/// They begin no other job. Jobs that wait are kept for `cicdctl agent start`, and so are those that come meanwhile. Where
/// `stop` gives what runs the time of `[runner] stop_timeout`, this waits for as long as it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl agent drain myapp runner")]
pub struct Args {
    #[command(flatten)]
    names: Names,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Do not wait until they have stopped
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Wait so long at most, such as 10m; they go on draining
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let scopes = args.names.scopes(host)?;
    let store = super::store(host)?;
    let manager = host.manager().await?;
    for scope in &scopes {
        let pause = Pause { drains: true, ..super::pause::new(host, &args.note, None) };
        store.pause(scope.agent().cloned(), pause).await?;
    }
    let began = Instant::now();
    let mut waiting: Vec<(Scope, Option<u64>)> = scopes.into_iter().map(|scope| (scope, None)).collect();
    loop {
        let mut left = Vec::new();
        for (scope, told) in waiting {
            let (_, running) = store.open_jobs(scope.agent().cloned()).await?;
            if !manager.state(&scope.service()).await?.is_active() {
                finish(host, &store, &manager, &scope).await?;
                continue;
            }
            if told != Some(running) && running > 0 {
                host.ui.say(&format!("{}: {} still running", scope.name(), count(running as usize, "job")));
            }
            left.push((scope, Some(running)));
        }
        waiting = left;
        if waiting.is_empty() {
            return Ok(Exit::Done);
        }
        let names: Vec<&str> = waiting.iter().map(|(scope, _)| scope.name()).collect();
        let names = names.join(" ");
        if args.no_wait {
            host.ui.say(&format!("Draining {names}. To take it back: `cicdctl agent resume {names}`"));
            return Ok(Exit::Done);
        }
        if args.timeout.is_some_and(|timeout| began.elapsed() >= timeout.0) {
            let running = waiting.iter().filter_map(|(_, running)| *running).sum::<u64>() as usize;
            let after = quantity::duration(began.elapsed().as_millis() as u64);
            bail!(
                Fail::new(format!("{} still running after {after}; {names} goes on draining", count(running, "job")))
                    .hint(format!(
                        "`cicdctl agent resume {names}` takes it back, `cicdctl agent stop {names}` ends it now"
                    ))
            );
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One that does not run (any more) is not to be woken either.
async fn finish(host: &Host, store: &Store, manager: &Manager, scope: &Scope) -> Result<()> {
    for (unit, result) in manager.change(Verb::Stop, &[scope.socket(), scope.service()]).await? {
        result.map_err(|error| error.context(format!("could not stop `{unit}`")))?;
    }
    store.resume(scope.agent().cloned(), true).await?;
    let (queued, running) = store.open_jobs(scope.agent().cloned()).await?;
    let kept = match queued + running {
        0 => "no job waits".to_owned(),
        waiting => format!("{} kept", count(waiting as usize, "waiting job")),
    };
    host.ui.say(&format!("{0}: drained and stopped, {kept}; `cicdctl agent start {0}` starts it", scope.name()));
    Ok(())
}
