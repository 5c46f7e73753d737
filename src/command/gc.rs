//! `cicdctl gc`: gives back what nobody needs any more, and says what takes how much. Its timer runs the same.

use anyhow::{Result, bail};
use jiff::Timestamp;

use crate::cage::Cage;
use crate::cli::Changing;
use crate::disk::collect::{self, Report};
use crate::disk::measure::{MirrorSize, Sizes};
use crate::disk::{REMEDY, room, tight};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::plain;
use crate::quantity::{bytes, count};
use crate::store::now_ms;
use crate::ui::{Ui, bold};

/// Give back disk space that nobody needs any more
///
/// Old jobs with their reviews, conversations, logs and caches of engines, mirrors of repositories that were not used for
/// long, old copies of the store, and what killed processes have left. How long and how much is kept is in `[disk]` of
/// config.toml. Open jobs, what was spent, findings and working copies stay. A timer runs it each day.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl gc --dry-run   what takes how much, and what would go
  cicdctl gc --yes       without a question")]
pub struct Args {
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let config = host.config()?;
    if !host.paths.state_dir.exists() {
        host.ui.say("There is nothing yet: cicdctl is not set up for this user.");
        return Ok(Exit::Done);
    }
    let cage = match host.manager().await {
        Ok(manager) => Cage::Unit(manager),
        Err(_) => Cage::Child { because: "there is no systemd user manager".into() },
    };
    let collect = async |dry_run| match collect::collect(&host.paths, &config, &cage, dry_run).await? {
        Some(report) => Ok(report),
        None => bail!(Fail { exit: Exit::TryLater, ..Fail::new("another process of this user is at it already") }),
    };
    // With nobody to ask there is no use in a look before.
    let mut report = collect(args.changing.dry_run || !args.changing.yes).await?;
    if !args.changing.dry_run && !args.changing.yes {
        if report.taken.is_empty() {
            // Mirrors are packed, and the store is put in order.
            report = collect(false).await?;
        } else {
            host.ui.say("This will be removed:");
            for line in taken(&report) {
                host.ui.say(&line);
            }
            if !host.ui.confirm("Go on?", true)? {
                bail!(Fail::new("stopped; nothing was changed"));
            }
            report = collect(false).await?;
        }
    }
    if host.ui.json {
        host.ui.data_json(&report)?;
    } else {
        host.ui.data(&show(&report, host, &host.ui))?;
        for problem in &report.problems {
            host.ui.warn(problem);
        }
        if let Some(why) = tight(&host.paths, config.disk.min_free) {
            host.ui.warn(&format!("{why}; {REMEDY}"));
        }
    }
    Ok(if report.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

fn taken(report: &Report) -> Vec<String> {
    report
        .taken
        .iter()
        .map(|taken| format!("  {:>9}  {} ({})", bytes(taken.bytes), taken.kind, count_of(taken.items)))
        .collect()
}

fn count_of(items: u64) -> String {
    crate::quantity::grouped(items)
}

fn show(report: &Report, host: &Host, ui: &Ui) -> String {
    let mut out = sizes(&report.sizes, host, ui);
    let (head, none) = match report.dry_run {
        true => ("would go", "nothing would go"),
        false => ("gone", "nothing was to go"),
    };
    if report.taken.is_empty() {
        out.push_str(&format!("\n{none}\n"));
    } else {
        out.push_str(&format!("\n{}\n{}\n", ui.paint(head, bold()), taken(report).join("\n")));
        if report.taken.len() > 1 {
            out.push_str(&format!("  {:>9}  in all\n", bytes(report.bytes())));
        }
    }
    out
}

/// Of the mirrors only the largest are shown.
const MIRRORS_SHOWN: usize = 5;

fn sizes(sizes: &Sizes, host: &Host, ui: &Ui) -> String {
    let mut out = String::new();
    let mut row = |size: u64, what: String| out.push_str(&format!("  {:>9}  {what}\n", bytes(size)));
    row(sizes.state, format!("state, {}", host.paths.state_dir.display()));
    row(sizes.store, "  store".into());
    if sizes.backups > 0 {
        row(sizes.backups, "  copies of the store".into());
    }
    for scope in &sizes.scopes {
        let name = scope.agent.as_deref().map_or("the runner".to_owned(), |name| format!("agent {name}"));
        for (size, what) in [(scope.workspace, "workspace"), (scope.engine_home, "engine home")] {
            if size > 0 {
                row(size, format!("  {what} of {name}"));
            }
        }
    }
    row(sizes.cache, format!("cache, {}", host.paths.cache_dir.display()));
    for mirror in sizes.mirrors.iter().take(MIRRORS_SHOWN) {
        row(mirror.bytes, format!("  mirror {}", of(mirror)));
    }
    let rest = sizes.mirrors.get(MIRRORS_SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        row(rest.iter().map(|mirror| mirror.bytes).sum(), format!("  {}", count(rest.len(), "smaller mirror")));
    }
    let mut free: Vec<String> = Vec::new();
    for dir in [&host.paths.state_dir, &host.paths.cache_dir] {
        let text = room(dir).map_or_else(|error| error.to_string(), |room| bytes(room.free));
        if !free.contains(&text) {
            free.push(text);
        }
    }
    format!("{}\n{out}  {:>9}  free\n", ui.paint("on the disk", bold()), free.join(", "))
}

fn of(mirror: &MirrorSize) -> String {
    let name = mirror.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let what = mirror.of.as_deref().map_or(name, plain::visible);
    let day = Timestamp::from_millisecond(mirror.used_ms)
        .map_or(String::new(), |time| format!(", used {}", time.to_zoned(jiff::tz::TimeZone::system()).date()));
    format!("of {what}{day}")
}

/// One line for `status`: what is free now, and what was measured last.
pub fn line(host: &Host) -> String {
    let free = room(&host.paths.state_dir).map_or_else(|_| "?".to_owned(), |room| bytes(room.free));
    match crate::disk::measure::remembered(&host.paths) {
        None => format!("{free} free; what is in use is not measured yet (`cicdctl gc --dry-run`)"),
        Some(sizes) => {
            let age = crate::quantity::duration(u64::try_from(now_ms() - sizes.at_ms).unwrap_or(0));
            let parts = [
                ("store", sizes.store + sizes.backups),
                ("mirrors", sizes.mirrors_total()),
                ("workspaces", sizes.workspaces_total()),
                ("engine homes", sizes.engine_homes_total()),
            ];
            let rest = sizes.total().saturating_sub(parts.iter().map(|(_, size)| size).sum());
            let parts = parts.into_iter().chain(Some(("other", rest)).filter(|_| rest > 0));
            let parts: Vec<String> = parts.map(|(name, size)| format!("{name} {}", bytes(size))).collect();
            format!("{free} free, {} in use ({}), measured {age} ago", bytes(sizes.total()), parts.join(", "))
        }
    }
}
