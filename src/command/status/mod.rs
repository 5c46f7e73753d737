//! `cicdctl status`: one screen that says what is really going on, trouble first.

mod draw;
mod gather;
mod show;
mod watch;

use anyhow::Result;
use clap_complete::ArgValueCandidates;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::complete;
use crate::command::system::all_users;
use crate::error::Exit;
use crate::host::Host;
use crate::store::Slice;
use gather::gather;
use show::{Sum, show};

pub use draw::bar;
#[cfg(test)]
pub use gather::sample;
pub use gather::{Status, Unit, Watching, held_word, watch_of, word};
pub use show::{cpu, job_line, memory, since, summary, tasks, trouble};
pub use watch::Rates;

/// All that there is, with more of the newest jobs than fit on a page.
pub async fn look(host: &Host) -> Result<Status> {
    gather(&Args { name: None, watch: None, all: true, all_users: false }, 100, host).await
}

/// A sparkline and what it adds up to, where something has ended.
pub fn last_hour(slices: &[Slice], utf8: bool) -> Option<(String, String)> {
    let sum = Sum::of(slices)?;
    Some((sum.line(utf8), sum.in_words()))
}

/// Reviews that are shown.
const LAST: u32 = 5;

/// Show units, queue and last jobs on one screen
///
/// Trouble comes first, each with its remedy. Memory, CPU and tasks stand against their limits; each limit is either
/// enforced by the kernel or only declared. CPU is the average since the service has started, and with `--watch` that
/// since the last look, in percent of one processor. The columns of the last hour are five minutes each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl status                    all of it, once
  cicdctl status --watch            again every two seconds, until Ctrl-C
  cicdctl status --watch=10 --json  a line of JSON every ten seconds
  sudo cicdctl status --all-users   a line for each user")]
pub struct Args {
    /// Only this agent
    #[arg(add = ArgValueCandidates::new(complete::agents))]
    name: Option<String>,
    /// Show it again and again, every so many seconds [default: 2]
    #[arg(short, long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2",
          value_parser = parse_seconds)]
    watch: Option<f64>,
    /// A line for each agent, however many there are
    #[arg(short, long)]
    all: bool,
    /// A line for each user of this host who has a runner; as root
    #[arg(long, conflicts_with_all = ["name", "watch", "all"])]
    all_users: bool,
}

/// What `--json` prints.
#[derive(Serialize, JsonSchema)]
pub struct Shown<'a> {
    #[serde(flatten)]
    status: &'a Status,
    /// What needs somebody's attention, each with its remedy.
    trouble: Vec<String>,
}

fn with_trouble(status: &Status) -> Shown<'_> {
    Shown { status, trouble: trouble(status) }
}

pub fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("write a number of seconds from 0.1 to 86400".into()),
    }
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if args.all_users {
        return all_users::run(host).await;
    }
    if let Some(seconds) = args.watch {
        return watch::watch(&args, seconds, host).await;
    }
    let status = gather(&args, LAST, host).await?;
    if host.ui.json {
        host.ui.data_json(&with_trouble(&status))?;
    } else {
        host.ui.data(&show(&status, &host.ui, args.all))?;
    }
    Ok(if status.problems.is_empty() { Exit::Done } else { Exit::Failed })
}
