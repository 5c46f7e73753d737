//! The one screen, trouble first.

use jiff::tz::TimeZone;

use super::gather::{LimitState, Status, Unit};
use crate::agent::AgentName;
use crate::api::{Job, JobState};
use crate::config::Size;
use crate::disk;
use crate::plain;
use crate::quantity;
use crate::review::Outcome;
use crate::store::now_ms;
use crate::ui::{Ui, bold, dim, green, red, yellow};

pub(super) fn show(status: &Status, ui: &Ui) -> String {
    let mut out = String::new();
    let trouble = trouble(status);
    for line in &trouble {
        out.push_str(&format!("{} {line}\n", ui.paint("!", red().bold())));
    }
    if !trouble.is_empty() {
        out.push('\n');
    }
    let width = status.agents.iter().map(|agent| agent.name.len()).max().unwrap_or(0).max(9);
    out.push_str(&line(&status.runner, width, ui));
    for agent in &status.agents {
        out.push_str(&line(agent, width, ui));
    }
    let mut row =
        |key: &str, text: String| out.push_str(&format!("{} {text}\n", ui.paint(&format!("{key:width$}"), bold())));
    let queue = &status.queue;
    let age = queue
        .oldest_queued_ms
        .map_or(String::new(), |ms| format!(", the oldest for {}", quantity::duration(since(ms))));
    row("queue", format!("{} running, {} queued{age}", queue.running, queue.queued));
    if let Some(money) = &status.money {
        row("money", money.line());
    }
    row("disk", status.disk.line.clone());
    row("limits", limits_text(status));
    if let Some(hardening) = &status.hardening {
        row("hardening", hardening.line());
    }
    let on = |yes: bool, good: &'static str, bad: &'static str| if yes { good } else { bad };
    row(
        "host",
        format!(
            "{}, {}, {}, systemd {}",
            on(status.host.linger, "lingering (runs without a login)", "NOT lingering (ends at logout)"),
            on(status.host.bus, "bus", "no bus daemon"),
            on(status.host.journal_readable, "journal", "journal unreadable (own log file)"),
            status.systemd.as_deref().and_then(|text| text.split_whitespace().next()).unwrap_or("?"),
        ),
    );
    if !status.last.is_empty() {
        out.push_str(&format!("\n{}\n", ui.paint("last reviews", bold())));
        for job in &status.last {
            out.push_str(&format!("  {}\n", job_line(job, ui)));
        }
    }
    out
}

/// What needs somebody's attention, each with its remedy.
fn trouble(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> = status.problems.iter().map(|problem| plain::one_line(problem, 1000)).collect();
    if status.runner.word == "absent" {
        lines.push("cicdctl is not set up for this user; `cicdctl init` does it".into());
        return lines;
    }
    if let Some(why) = &status.host.uncaged {
        lines.push(format!("engines are not caged, and nothing restarts the runner: {why}"));
        return lines;
    }
    lines.extend(status.disk.tight.iter().map(|why| format!("{why}; {}", disk::REMEDY)));
    lines.extend(status.money.iter().flat_map(|money| money.trouble(&TimeZone::system())));
    for unit in std::iter::once(&status.runner).chain(&status.agents) {
        // An agent may be called `runner`, too. A start by `systemctl` would not clear the start limit of a service
        // that failed.
        let is_runner = std::ptr::eq(unit, &status.runner);
        let ambiguous = is_runner && status.agents.iter().any(|agent| agent.name == unit.name);
        let start = format!("cicdctl agent start {}", unit.name);
        let (restart, start) = match (is_runner, ambiguous) {
            (false, _) => (start.clone(), start),
            (true, false) => ("cicdctl init".to_owned(), start),
            (true, true) => ("cicdctl init".to_owned(), "cicdctl init".to_owned()),
        };
        match unit.word {
            // It says what it waits for.
            "starting" if let Some(text) = &unit.service.status_text => {
                lines.push(format!("{} is starting: {}", unit.name, plain::visible(text)));
            }
            "restarting" => {
                lines.push(format!("{} is started again by systemd: {}", unit.name, unit.service.failure()));
            }
            "absent" => lines.push(format!("{} has no unit; `cicdctl init` and `cicdctl apply` write it", unit.name)),
            "failed" | "crash-loop" => {
                let mut cause = if unit.service.is_failed() || unit.word == "crash-loop" {
                    unit.service.failure()
                } else {
                    unit.socket.failure()
                };
                if let Some(more) = &unit.cause {
                    cause = format!("{cause}: {more}");
                }
                lines.push(format!(
                    "{} {}: {cause}; see `cicdctl logs {}`, then `{start}`",
                    unit.name,
                    unit.word.to_uppercase(),
                    unit.name
                ));
            }
            "ready" | "working" if status.set_up && unit.socket.load == "not-found" => {
                lines.push(format!("{} has lost its socket; `{restart}` writes it", unit.name));
            }
            "stopped" => lines.push(format!("{} is stopped and its socket does not listen; `{start}`", unit.name)),
            "asleep" if unit.watch.is_some() => {
                lines.push(format!("{} is to watch and does not run; `{start}`", unit.name));
            }
            _ => {}
        }
        if let Some((watch, trouble)) = unit.watch.as_ref().and_then(|watch| Some((watch, watch.state.trouble()?))) {
            lines.push(format!("{} cannot watch {}: {trouble}", unit.name, watch.repo));
        }
    }
    if !status.host.linger {
        lines.push(format!(
            "nothing runs after logout: `loginctl enable-linger {}` (root) or `cicdctl init`",
            status.user
        ));
    }
    lines
}

fn line(unit: &Unit, width: usize, ui: &Ui) -> String {
    let style = match unit.word {
        "ready" | "working" | "asleep" | "foreground" => green(),
        "failed" | "crash-loop" | "absent" => red(),
        _ => yellow(),
    };
    let state = &unit.service;
    let mut parts = Vec::new();
    if state.is_active() {
        if let Some(since_usec) = state.since_usec {
            parts.push(format!(
                "for {}",
                quantity::duration(since(i64::try_from(since_usec / 1000).unwrap_or(i64::MAX)))
            ));
        }
        if let Some(memory) = state.memory {
            parts.push(format!(
                "memory {}{}",
                Size(memory >> 20 << 20),
                state.memory_max.map_or(String::new(), |max| format!("/{}", Size(max)))
            ));
        }
        if let Some(nsec) = state.cpu_nsec {
            let quota = state.cpu_quota_usec.map_or(String::new(), |usec| format!(" of {}%", usec / 10_000));
            parts.push(format!("cpu {}{quota}", quantity::duration(nsec / 1_000_000)));
        }
        if let (Some(tasks), Some(max)) = (state.tasks, state.tasks_max) {
            parts.push(format!("tasks {tasks}/{max}"));
        }
        if let Some(restarts) = state.restarts.filter(|restarts| *restarts > 0) {
            parts.push(quantity::count(restarts as usize, "restart"));
        }
    } else if unit.socket.is_active() && matches!(unit.word, "asleep" | "paused" | "draining") {
        parts.push("its socket wakes it".into());
    }
    let mut text = format!(
        "{} {}  {}\n",
        ui.paint(&format!("{:width$}", unit.name), bold()),
        ui.paint(&format!("{:10}", unit.word), style),
        parts.join("  ")
    );
    if let Some(project) = &unit.project {
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&format!("           {project}"), dim())));
    }
    if let Some(pause) = &unit.pause {
        let words = format!("           {}", plain::visible(&pause.in_words()));
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&words, yellow())));
    }
    if let Some(watch) = &unit.watch {
        let words = format!("           watches {}", watch.in_words());
        text.push_str(&format!("{:width$} {}\n", "", ui.paint(&words, dim())));
    }
    text
}

fn limits_text(status: &Status) -> String {
    let all: Vec<&LimitState> =
        std::iter::once(&status.runner).chain(&status.agents).flat_map(|unit| &unit.limits).collect();
    let mut words = Vec::new();
    for name in ["memory", "cpu", "tasks"] {
        let mut of_name = all.iter().filter(|limit| limit.name == name).peekable();
        if of_name.peek().is_none() {
            continue;
        }
        // One that is not in force is what people need to know.
        let states: Vec<Option<bool>> = of_name.map(|limit| limit.enforced).collect();
        let word = if states.contains(&Some(false)) {
            "declared only"
        } else if states.contains(&Some(true)) {
            "enforced"
        } else {
            "enforced when it runs"
        };
        words.push(format!("{name} {word}"));
    }
    let mut text = words.join(", ");
    if let Some(remedy) = &status.limits_remedy {
        text.push_str(&format!("; {remedy}"));
    }
    if text.is_empty() { "none".into() } else { text }
}

/// A job on one line.
pub fn job_line(job: &Job, ui: &Ui) -> String {
    let (word, style) = match (job.state, job.outcome) {
        (JobState::Ended, Some(Outcome::Reviewed)) => ("reviewed", green()),
        (JobState::Ended, Some(outcome @ (Outcome::Failed | Outcome::Partial))) => (outcome.as_str(), red()),
        (JobState::Ended, Some(outcome)) => (outcome.as_str(), yellow()),
        (state, _) => (state.as_str(), yellow()),
    };
    let owner = job.agent.as_ref().map_or("runner", AgentName::as_str);
    let when = quantity::duration(since(job.ended_ms.unwrap_or(job.created_ms)));
    let reason =
        job.reason.as_ref().map_or(String::new(), |reason| format!(": {}", reason.lines().next().unwrap_or_default()));
    let is_again = job.attempts > 0 && job.deferrals == 0;
    let least = if is_again { 0 } else { 60_000 };
    let waits = job.not_before_ms.filter(|until| job.state == JobState::Queued && *until > now_ms() + least);
    let waits = match (&job.waits_because, waits) {
        (Some(why), _) => format!(" ({why})"),
        (None, Some(until)) if is_again => format!(" (next try at {})", quantity::time(until)),
        (None, Some(until)) => format!(" (not before {})", quantity::time(until)),
        (None, None) => String::new(),
    };
    let shown = plain::visible(&format!("{}{waits}{reason}", job.request.subject()));
    let shown = plain::cut(&shown, ui.width().saturating_sub(60).max(40));
    format!("{} {} {owner:12} {when:>11} ago  {shown}", &job.id, ui.paint(&format!("{word:10}"), style))
}

pub(super) fn since(ms: i64) -> u64 {
    u64::try_from(now_ms() - ms).unwrap_or(0)
}
