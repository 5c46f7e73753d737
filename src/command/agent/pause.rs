//! `cicdctl agent pause` and `resume`: an agent begins no job for a while, and everybody can see why. The pause is in the
//! store, where every process that takes jobs obeys it; units are left as they are.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Names;
use crate::api::client::Client;
use crate::config::Span;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::plain;
use crate::runner::Scope;
use crate::store::{Pause, Store, now_ms};

/// Longest note; it is shown on one line.
const MAX_NOTE: usize = 200;
/// Whoever means longer leaves `--for` out.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Let agents begin no job for a while
///
/// Jobs are accepted and wait; what runs already runs to its end. An agent that watches goes on to notice what is new.
/// The pause ends at its time, or by `cicdctl agent resume`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl agent pause myapp --for 2h --note 'release day'")]
pub struct Args {
    #[command(flatten)]
    names: Names,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// How long, such as 30m or 2h [default: until `resume`]
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Span>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let scopes = args.names.scopes(host)?;
    let length_ms = match args.length {
        Some(Span(length)) if length.is_zero() || length > LONGEST => {
            return Err(Fail::usage("`--for` takes more than nothing and a year at most")
                .hint("without it the pause lasts until `cicdctl agent resume`")
                .into());
        }
        length => length.map(|Span(length)| i64::try_from(length.as_millis())).transpose()?,
    };
    let store = super::store(host)?;
    let pause = new(host, &args.note, length_ms);
    for scope in &scopes {
        store.pause(scope.agent().cloned(), pause.clone()).await?;
        let (_, running) = store.open_jobs(scope.agent().cloned()).await?;
        let running = match running {
            0 => String::new(),
            running => format!("; {} still running", crate::quantity::count(running as usize, "job")),
        };
        host.ui.say(&format!("{}: {}{running}", scope.name(), pause.in_words()));
    }
    host.ui.say(&format!(
        "Jobs are accepted and wait. To go on before: `cicdctl agent resume {}`",
        args.names.names.join(" ")
    ));
    Ok(Exit::Done)
}

pub async fn resume(names: &Names, host: &Host) -> Result<Exit> {
    let scopes = names.scopes(host)?;
    let store = super::store(host)?;
    let manager = host.manager().await.ok();
    for scope in &scopes {
        let held = store.resume(scope.agent().cloned(), false).await?;
        let (queued, _) = store.open_jobs(scope.agent().cloned()).await?;
        let waiting = match queued {
            0 => "no job waits".to_owned(),
            _ => format!("goes on with {}", crate::quantity::count(queued as usize, "waiting job")),
        };
        match held {
            Some(held) => host.ui.say(&format!("{}: resumed, was {}; {waiting}", scope.name(), held.in_words())),
            None => host.ui.say(&format!("{}: was not paused", scope.name())),
        }
        let listens = match &manager {
            Some(manager) => manager.state(&scope.socket()).await.is_ok_and(|state| state.is_active()),
            None => true,
        };
        if !listens {
            host.ui.warn(&format!("{0} is stopped; `cicdctl agent start {0}` starts it", scope.name()));
        } else if queued > 0 {
            knock(host, scope).await;
        }
    }
    Ok(Exit::Done)
}

pub(super) fn new(host: &Host, note: &str, length_ms: Option<i64>) -> Pause {
    let at_ms = now_ms();
    Pause {
        drains: false,
        by: host.user.clone(),
        note: plain::one_line(note, MAX_NOTE),
        at_ms,
        until_ms: length_ms.map(|length| at_ms.saturating_add(length)),
    }
}

/// Lets it look at its queue at once, waking it if it sleeps. It looks by itself, too, so nothing depends on it.
pub(super) async fn knock(host: &Host, scope: &Scope) {
    let call = async {
        let client = Client::new(scope.socket_path(&host.paths));
        tokio::time::timeout(Duration::from_secs(10), client.info()).await.context("it does not answer")??;
        anyhow::Ok(())
    };
    if let Err(error) = call.await {
        host.ui.warn(&format!("could not wake {}: {error:#}", scope.name()));
    }
}

/// What holds a scope, for those who show it: a store that cannot be read is not theirs to tell of.
pub async fn paused(store: Option<&Store>, scope: &Scope) -> Option<Pause> {
    store?.paused(scope.agent().cloned()).await.ok().flatten()
}
