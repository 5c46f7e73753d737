//! `cicdctl logs`: what runner, agents and cages wrote, by either route through the journal, or from our own file
//! where this user cannot read the journal.
//!
//! Messages of a user service carry `_SYSTEMD_USER_UNIT=`; what the manager says about the unit carries `USER_UNIT=`;
//! and what a process wrote after it left its unit's group is found under the manager's own unit by its identifier.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::agent::AgentName;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::{cage, files, journal};

/// Show what the runner, the agents and their jobs logged
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this agent (`runner`: only the runner)
    name: Option<String>,
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
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// How the journal's entries are shown
    #[arg(short, long, value_name = "FORMAT", default_value = "short", value_parser = ["short", "short-iso", "cat", "json"])]
    output: String,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let units = units(&args, host)?;
    if !journal::is_readable(host.uid) {
        return own_file(&args, host);
    }
    let mut command = journalctl(&units, host.uid, args.job.as_deref());
    command
        .arg(format!("--output={}", if host.ui.json { "json" } else { &args.output }))
        .arg(format!("--lines={}", args.lines));
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
    let output = command.stderr(Stdio::inherit()).output().context("could not start `journalctl`")?;
    if !output.status.success() && output.stdout.is_empty() && args.grep.is_none() {
        bail!("journalctl ended with {}", output.status);
    }
    if output.stdout.is_empty() {
        host.ui.say("The journal has no messages that match.");
        return Ok(Exit::Done);
    }
    host.ui.data(&String::from_utf8_lossy(&output.stdout))?;
    Ok(Exit::Done)
}

/// Units whose messages are wanted; none means all of ours.
fn units(args: &Args, host: &Host) -> Result<Vec<String>> {
    match args.name.as_deref() {
        None => Ok(Vec::new()),
        Some("runner") => Ok(vec!["cicd-runner.service".into(), "cicd-runner.socket".into()]),
        Some(name) => {
            let name: AgentName = name.parse().map_err(Fail::usage)?;
            // One whose file is wrong is the more interesting.
            if !host.paths.agent_file(&name).exists() {
                host.known_agent(&name, &host.config()?)?;
            }
            Ok(vec![name.service(), name.socket()])
        }
    }
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

fn own_file(args: &Args, host: &Host) -> Result<Exit> {
    let path = host.paths.log_file();
    host.ui.say(&format!(
        "The journal of this host cannot be read by {} (it is not kept on disk, or not split by user); showing `{}`.\n\
         Root can change that with `mkdir -p /var/log/journal && journalctl --flush`, or `usermod -aG systemd-journal {}`.",
        host.user,
        path.display(),
        host.user
    ));
    let text = files::read(&path)?.unwrap_or_default();
    let wanted = |line: &&str| {
        args.grep.as_ref().is_none_or(|pattern| regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(line)))
            && args.job.as_ref().is_none_or(|job| line.contains(&job.to_uppercase()))
    };
    let lines: Vec<&str> = text.lines().filter(wanted).collect();
    let first = lines.len().saturating_sub(args.lines as usize);
    if args.follow {
        let mut tail = Command::new("tail");
        return Err(tail.args(["-n", &args.lines.to_string(), "-F"]).arg(path).exec())
            .context("could not start `tail`");
    }
    host.ui.data(&lines[first..].join("\n"))?;
    Ok(Exit::Done)
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
