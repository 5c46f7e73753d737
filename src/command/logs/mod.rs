//! `cicdctl logs`: what runner, agents and cages wrote, by either route through the journal, or from our own file
//! where this user cannot read the journal.
//!
//! Messages of a user service carry `_SYSTEMD_USER_UNIT=`; what the manager says about the unit carries `USER_UNIT=`;
//! and what a process wrote after it left its unit's group is found under the manager's own unit by its identifier.

mod file;

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap_complete::ArgValueCandidates;

use super::agent::scopes;
use crate::command::complete;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::runner::Scope;
use crate::{cage, journal};

/// Show what the runner, the agents and their jobs logged
///
/// In the order of time, from the journal, or from a file of our own where this user cannot read the journal; it says so
/// then. The journal's fields CICD_AGENT, CICD_JOB and CICD_OUTCOME are there for `journalctl --user CICD_JOB=…`, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl logs                        of all
  cicdctl logs myapp 'web-*' -f       of these agents, and what comes
  cicdctl logs runner --level warning --since -1h")]
pub struct Args {
    /// Only these agents: names, or globs such as `web-*`; `runner` is the runner itself
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::scopes))]
    names: Vec<String>,
    /// Go on and show what comes
    #[arg(short, long)]
    follow: bool,
    /// How many lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    lines: u32,
    /// From this time on (`2026-11-23 08:00`, `-1h`, `today`)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Up to this time
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// This level and graver: debug, info, warning, err
    #[arg(long, value_name = "LEVEL", value_parser = ["debug", "info", "notice", "warning", "err", "crit"])]
    level: Option<String>,
    /// Only messages that match the regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only this job
    #[arg(long, value_name = "ID", add = ArgValueCandidates::new(complete::jobs))]
    job: Option<String>,
    /// How the journal's entries are shown
    #[arg(short, long, value_name = "FORMAT", default_value = "short", value_parser = ["short", "short-iso", "cat", "json"])]
    output: String,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let scopes = scopes(&args.names, host)?;
    if !journal::is_readable(host.uid) {
        return file::show(&args, scopes.iter().map(Scope::identifier).collect(), host).await;
    }
    let units: Vec<String> = scopes.iter().flat_map(|scope| [scope.service(), scope.socket()]).collect();
    let mut command = journalctl(&units, host.uid, args.job.as_deref());
    command
        .arg(format!("--output={}", if host.ui.json { "json" } else { &args.output }))
        .arg(format!("--lines={}", args.lines))
        // By what we know of the terminal: journalctl writes into a pipe here.
        .env("SYSTEMD_COLORS", if host.ui.color() { "1" } else { "0" })
        .env("SYSTEMD_URLIFY", "0");
    if args.follow {
        command.arg("--follow");
    }
    for (option, value) in
        [("--since", &args.since), ("--until", &args.until), ("--priority", &args.level), ("--grep", &args.grep)]
    {
        if let Some(value) = value {
            command.arg(format!("{option}={value}"));
        }
    }
    if args.follow {
        // Nothing is left to do here: journalctl takes our place and gets the terminal's signals.
        return Err(command.exec()).context("could not start `journalctl`");
    }
    let output = command.output().context("could not start `journalctl`")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    // Without a match its status is 1, too.
    if !output.status.success() && !said.is_empty() {
        let fail = Fail::usage(format!("journalctl refused this: {said}"));
        bail!(fail.hint("times are written `2026-11-23 08:00`, `today`, `-1h`; `--grep` takes a regular expression"));
    }
    if output.stdout.is_empty() {
        host.ui.say("The journal has no messages that match.");
        return Ok(Exit::Done);
    }
    host.ui.data(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Exit::Done)
}

fn journalctl(units: &[String], uid: u32, job: Option<&str>) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--quiet", "--no-pager"]);
    let mut groups: Vec<Vec<String>> = Vec::new();
    if let Some(job) = job {
        let job = job.to_uppercase();
        groups.push(vec![format!("CICD_JOB={job}")]);
        groups.push(vec![format!("_SYSTEMD_USER_UNIT={}", cage::unit_name(&job))]);
        groups.push(vec![format!("USER_UNIT={}", cage::unit_name(&job))]);
    } else if units.is_empty() {
        for identifier in ["cicd-runner", "cicd-job"] {
            groups.push(vec![format!("SYSLOG_IDENTIFIER={identifier}")]);
        }
        groups.push(vec!["_SYSTEMD_USER_SLICE=cicd.slice".into()]);
        groups.push(vec!["_SYSTEMD_USER_UNIT=cicd-runner.service".into()]);
        groups.push(vec!["USER_UNIT=cicd-runner.service".into()]);
    }
    for unit in units {
        let identifier = unit.split_once('@').map_or("cicd-runner".to_owned(), |(name, rest)| {
            format!("{name}-{}", rest.rsplit_once('.').map_or(rest, |(instance, _)| instance))
        });
        groups.push(vec![format!("_SYSTEMD_USER_UNIT={unit}")]);
        groups.push(vec![format!("USER_UNIT={unit}")]);
        groups.push(vec![format!("_SYSTEMD_UNIT=user@{uid}.service"), format!("SYSLOG_IDENTIFIER={identifier}")]);
    }
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            command.arg("+");
        }
        // Another user's messages may have the same fields where we may read them all.
        command.args(group).arg(format!("_UID={uid}"));
    }
    command
}

/// Adds the last lines of a unit's journal to an error about it.
pub fn with_last_lines(host: &Host, error: anyhow::Error, unit: &str) -> anyhow::Error {
    let mut command = journalctl(&[unit.to_owned()], host.uid, None);
    let output = command.args(["--output=cat", "--lines=8", "--since=-2min"]).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if text.is_empty() {
        return error.context(
            Fail::new(format!("`{unit}` did not come up"))
                .hint(format!("`systemctl --user status {unit}` may say more")),
        );
    }
    error.context(
        Fail::new(format!("`{unit}` did not come up; its journal says:\n{text}"))
            .hint("put the cause right, then run this command again; `cicdctl doctor` checks the usual ones"),
    )
}
