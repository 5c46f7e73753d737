//! The one screen, trouble first.

use anstyle::Style;
use jiff::tz::TimeZone;

use super::draw::{bar, sparkline};
use super::gather::{LimitState, Status, Unit};
use crate::agent::AgentName;
use crate::api::{Job, JobState};
use crate::config::Size;
use crate::disk;
use crate::plain;
use crate::quantity;
use crate::review::Outcome;
use crate::store::{Slice, now_ms};
use crate::ui::{Ui, bold, dim, green, red, yellow};

/// From so many agents on, those that are well and have nothing to do share a line on a terminal.
const MANY: usize = 12;

/// How much is said, where there is less room than there is to say.
#[derive(Clone, Copy)]
struct Detail {
    /// The project of an agent that is well, on a line of its own.
    projects: bool,
    remedies: bool,
    last: usize,
    /// From so many agents on, those that are well and have nothing to do share a line.
    many: usize,
}

/// The most first.
const DETAILS: [Detail; 5] = [
    Detail { projects: true, remedies: true, last: usize::MAX, many: MANY },
    Detail { projects: false, remedies: true, last: usize::MAX, many: MANY },
    Detail { projects: false, remedies: false, last: 3, many: MANY },
    Detail { projects: false, remedies: false, last: 3, many: 2 },
    Detail { projects: false, remedies: false, last: 1, many: 2 },
];

/// As much as the terminal has room for; all of it where there is none, or `all` is asked for.
pub(super) fn show(status: &Status, ui: &Ui, all: bool) -> String {
    let [whole, .., least] = DETAILS;
    let Some((columns, rows)) = ui.size().filter(|_| !all) else { return draw(status, ui, all, whole) };
    let plain = ui.without_color();
    let fits = |detail: &Detail| {
        let text = draw(status, &plain, all, *detail);
        // The line of the prompt is left.
        text.lines().map(|line| line.chars().count().max(1).div_ceil(columns)).sum::<usize>() < rows
    };
    draw(status, ui, all, DETAILS.into_iter().find(fits).unwrap_or(least))
}

fn draw(status: &Status, ui: &Ui, all: bool, detail: Detail) -> String {
    let mut out = String::new();
    let trouble = trouble(status);
    for line in &trouble {
        out.push_str(&format!("{} {line}\n", ui.paint("!", red().bold())));
    }
    if !trouble.is_empty() {
        out.push('\n');
    }
    let folds = status.agents.len() > detail.many && ui.is_terminal() && !all;
    let (quiet, shown): (Vec<&Unit>, Vec<&Unit>) = status.agents.iter().partition(|agent| folds && is_quiet(agent));
    let columns = Columns::new(&[&[&status.runner], &shown[..]].concat(), ui);
    let width = columns.name;
    let row = |out: &mut String, key: &str, text: &str| {
        out.push_str(&format!("{} {text}\n", ui.paint(&format!("{key:width$}"), bold())));
    };
    if status.agents.len() > 1 {
        row(&mut out, "agents", &summary(&status.agents));
    }
    let queue = &status.queue;
    let age = queue
        .oldest_queued_ms
        .map_or(String::new(), |ms| format!(", the oldest for {}", quantity::duration(since(ms))));
    let next = queue.next_try_ms.map_or(String::new(), |ms| format!(", next try at {}", quantity::time(ms)));
    row(&mut out, "queue", &format!("{} running, {} queued{age}{next}", queue.running, queue.queued));
    if let Some(sum) = Sum::of(&status.last_hour) {
        let style = if sum.all.failed > 0 { yellow() } else { green() };
        row(&mut out, "last hour", &format!("{}  {}", ui.paint(&sum.line(ui.is_utf8()), style), sum.in_words()));
    }
    if let Some(money) = &status.money {
        row(&mut out, "money", &money.line());
    }
    out.push('\n');
    for unit in std::iter::once(&status.runner).chain(shown) {
        out.push_str(&line(unit, &columns, detail.projects, ui));
    }
    if !quiet.is_empty() {
        let names: Vec<&str> = quiet.iter().map(|agent| agent.name.as_str()).collect();
        let text = format!("{} more, well and idle: {}", names.len(), names.join(", "));
        out.push_str(&format!("{}\n", ui.paint(&plain::cut(&text, ui.width()), dim())));
    }
    out.push('\n');
    row(&mut out, "disk", &status.disk.line);
    row(&mut out, "limits", &limits_text(status, detail.remedies));
    if let Some(hardening) = &status.hardening {
        row(&mut out, "hardening", &hardening.line());
    }
    let on = |yes: bool, good: &'static str, bad: &'static str| if yes { good } else { bad };
    let host = format!(
        "{}, {}, {}, systemd {}",
        on(status.host.linger, "runs without a login", "NOT lingering (ends at logout)"),
        on(status.host.bus, "user bus", "no bus daemon"),
        on(status.host.journal_readable, "journal readable", "journal unreadable (own log file)"),
        // Without what the distribution has added.
        status.systemd.as_deref().and_then(|text| text.split([' ', '-', '~']).next()).unwrap_or("?"),
    );
    row(&mut out, "host", &host);
    if !status.last.is_empty() {
        out.push_str(&format!("\n{}\n", ui.paint("last jobs", bold())));
        for job in status.last.iter().take(detail.last) {
            out.push_str(&format!("  {}\n", job_line(job, ui)));
        }
    }
    out
}

/// Nothing of it needs to be seen.
fn is_quiet(agent: &Unit) -> bool {
    let watches_well =
        agent.watch.as_ref().is_none_or(|watch| watch.state.trouble().is_none() && agent.word != "asleep");
    matches!(agent.word, "asleep" | "ready") && watches_well && !agent.misconfigured
}

/// How many agents are in which state, those that somebody should look at first.
pub fn summary(agents: &[Unit]) -> String {
    const ORDER: [&str; 12] = [
        "failed",
        "crash-loop",
        "absent",
        "restarting",
        "stopped",
        "stopping",
        "starting",
        "draining",
        "paused",
        "working",
        "ready",
        "asleep",
    ];
    let count = |word: &str| agents.iter().filter(|agent| agent.word == word).count();
    let words: Vec<String> = ORDER
        .iter()
        .map(|word| (count(word), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{}: {}", quantity::grouped(agents.len() as u64), words.join(", "))
}

/// What ended in an hour.
pub(super) struct Sum {
    all: Slice,
    counts: Vec<u64>,
}

impl Sum {
    pub(super) fn of(slices: &[Slice]) -> Option<Sum> {
        let sum = |of: fn(&Slice) -> u64| slices.iter().map(of).sum::<u64>();
        let all = Slice { reviewed: sum(|s| s.reviewed), failed: sum(|s| s.failed), other: sum(|s| s.other) };
        (all.all() > 0).then(|| Sum { all, counts: slices.iter().map(|slice| slice.all()).collect() })
    }

    pub(super) fn line(&self, utf8: bool) -> String {
        sparkline(&self.counts, utf8)
    }

    pub(super) fn in_words(&self) -> String {
        let Slice { reviewed, failed, other } = self.all;
        let mut words = vec![format!("{reviewed} reviewed")];
        if failed > 0 {
            words.push(format!("{failed} not wholly"));
        }
        if other > 0 {
            words.push(format!("{other} ended otherwise"));
        }
        words.join(", ")
    }
}

/// How wide things are, so that they stand below each other.
struct Columns {
    name: usize,
    /// Of a bar.
    bar: usize,
    memory: usize,
    cpu: usize,
    tasks: usize,
    /// There is room for what says less.
    wide: bool,
}

impl Columns {
    fn new(units: &[&Unit], ui: &Ui) -> Columns {
        let widest = |of: fn(&Unit) -> Option<String>| {
            units.iter().copied().filter_map(of).map(|text| text.chars().count()).max().unwrap_or(0)
        };
        let name = widest(|unit| Some(unit.name.clone())).max(9);
        let (memory, cpu, tasks) = (widest(memory), widest(cpu), widest(tasks));
        // "name word  memory ▏ 1M/2M  cpu ▏ 1%/2%  tasks 1/2  for 3 h".
        let rest = ui.width().saturating_sub(name + 13 + 7 + memory + 3 + 4 + cpu + 2 + 6 + tasks);
        let wide = rest >= 46;
        let bar = if wide { 16 } else { (rest / 2).min(10) };
        // Where nothing enforces a limit, there is nothing to compare with.
        let is_limited = units.iter().any(|unit| unit.memory_limit().is_some() || unit.cpu_limit().is_some());
        Columns { name, bar: if bar < 4 || !is_limited { 0 } else { bar }, memory, cpu, tasks, wide }
    }
}

/// `123M/512M`.
pub fn memory(unit: &Unit) -> Option<String> {
    let state = &unit.service;
    let used = Size(state.memory.filter(|_| state.is_active())? >> 20 << 20);
    Some(unit.memory_limit().map_or(used.to_string(), |max| format!("{used}/{}", Size(max as u64))))
}

/// `3%/25%`.
pub fn cpu(unit: &Unit) -> Option<String> {
    let percent = unit.cpu_percent?;
    let digits = usize::from(percent < 9.95 && percent > 0.0);
    let quota = unit.cpu_limit().map_or(String::new(), |percent| format!("/{percent}%"));
    Some(format!("{percent:.digits$}%{quota}"))
}

/// `5/64`.
pub fn tasks(unit: &Unit) -> Option<String> {
    let state = &unit.service;
    let number = state.tasks.filter(|_| state.is_active())?;
    Some(unit.tasks_limit().map_or(number.to_string(), |max| format!("{number}/{max}")))
}

/// What needs somebody's attention, each with its remedy.
pub fn trouble(status: &Status) -> Vec<String> {
    let mut lines: Vec<String> = status.problems.iter().map(|problem| plain::one_line(problem, 1000)).collect();
    if status.runner.word == "absent" && !status.set_up {
        lines.push("cicdctl is not set up for this user; `cicdctl init` does it".into());
        return lines;
    }
    lines.extend(status.disk.tight.iter().map(|why| format!("{why}; {}", disk::REMEDY)));
    lines.extend(status.money.iter().flat_map(|money| money.trouble(&TimeZone::system())));
    lines.extend(status.credentials.iter().filter_map(|credential| credential.trouble(now_ms())));
    if let Some(why) = &status.host.uncaged {
        lines.push(format!("engines are not caged, and nothing restarts the runner: {why}"));
        return lines;
    }
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

fn style(word: &str) -> Style {
    match word {
        "ready" | "working" | "asleep" | "foreground" => green(),
        "failed" | "crash-loop" | "absent" => red(),
        _ => yellow(),
    }
}

/// A bar in the colour of how full it is.
fn painted_bar(part: f64, whole: Option<f64>, columns: &Columns, ui: &Ui) -> String {
    let Some(whole) = whole.filter(|_| columns.bar > 0) else { return " ".repeat(columns.bar) };
    let style = match part / whole {
        share if share >= 0.9 => red(),
        share if share >= 0.7 => yellow(),
        _ => green(),
    };
    ui.paint(&bar(part, whole, columns.bar, ui.is_utf8()), style)
}

fn line(unit: &Unit, columns: &Columns, projects: bool, ui: &Ui) -> String {
    let state = &unit.service;
    let width = columns.name;
    let mut parts = Vec::new();
    if let Some(text) = memory(unit) {
        let bar = painted_bar(state.memory.unwrap_or(0) as f64, unit.memory_limit(), columns, ui);
        parts.push(format!("memory {bar} {text:width$}", width = columns.memory));
    } else if columns.memory > 0 && state.is_active() {
        parts.push(" ".repeat(8 + columns.bar + columns.memory));
    }
    if let Some(text) = cpu(unit) {
        let bar = painted_bar(unit.cpu_percent.unwrap_or(0.0), unit.cpu_limit(), columns, ui);
        parts.push(format!("cpu {bar} {text:width$}", width = columns.cpu));
    } else if columns.cpu > 0 && state.is_active() {
        parts.push(" ".repeat(5 + columns.bar + columns.cpu));
    }
    if let Some(text) = tasks(unit) {
        parts.push(format!("tasks {text:width$}", width = columns.tasks));
    }
    let mut last = Vec::new();
    if let Some(since_usec) = state.since_usec.filter(|_| state.is_active() && (columns.wide || parts.is_empty())) {
        last.push(format!("for {}", quantity::duration(since(i64::try_from(since_usec / 1000).unwrap_or(i64::MAX)))));
    }
    if !state.is_active() && unit.socket.is_active() && matches!(unit.word, "asleep" | "paused" | "draining") {
        last.push("its socket wakes it".into());
    }
    let restarts = state.restarts.filter(|restarts| *restarts > 0).map(|n| quantity::count(n as usize, "restart"));
    // Where there is no room beside, below.
    let below = if columns.wide {
        last.extend(restarts);
        None
    } else {
        restarts
    };
    parts.extend(last);
    let mut text = format!(
        "{} {}  {}",
        ui.paint(&format!("{:width$}", unit.name), bold()),
        ui.paint(&format!("{:10}", unit.word), style(unit.word)),
        parts.join("  ")
    );
    text.truncate(text.trim_end().len());
    text.push('\n');
    let indent = format!("{:width$}            ", "");
    let mut more = |words: &str, style: Style| {
        text.push_str(&format!("{indent}{}\n", ui.paint(words, style)));
    };
    if let Some(restarts) = below {
        more(&restarts, yellow());
    }
    if let Some(project) = unit.project.as_ref().filter(|_| projects) {
        more(project, dim());
    }
    if unit.misconfigured {
        more("its file is wrong: its jobs wait", red());
    }
    if let Some(pause) = &unit.pause {
        more(&plain::visible(&pause.in_words()), yellow());
    }
    if let Some(watch) = &unit.watch {
        more(&format!("watches {}", watch.in_words()), dim());
    }
    text
}

fn limits_text(status: &Status, remedies: bool) -> String {
    let all: Vec<&LimitState> =
        std::iter::once(&status.runner).chain(&status.agents).flat_map(|unit| &unit.limits).collect();
    let mut words: Vec<(Vec<&str>, &str)> = Vec::new();
    for name in ["memory", "cpu", "tasks"] {
        let mut of_name = all.iter().filter(|limit| limit.name == name).peekable();
        if of_name.peek().is_none() {
            continue;
        }
        // One that is not in force is what people need to know.
        let states: Vec<Option<bool>> = of_name.map(|limit| limit.enforced).collect();
        let word = if states.contains(&Some(false)) {
            "declared only (nothing enforces them)"
        } else if states.contains(&Some(true)) {
            "enforced"
        } else {
            "enforced when it runs"
        };
        match words.iter_mut().find(|(_, known)| *known == word) {
            Some((names, _)) => names.push(name),
            None => words.push((vec![name], word)),
        }
    }
    let words: Vec<String> = words.iter().map(|(names, word)| format!("{} {word}", names.join(", "))).collect();
    let mut text = words.join("; ");
    match &status.limits_remedy {
        Some(remedy) if remedies => text.push_str(&format!("; {remedy}")),
        Some(_) => text.push_str(": `cicdctl doctor` has the remedy"),
        None => {}
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
    // The end of an id is as good as all of it.
    let id = if ui.width() < 100 { job.id.get(16..).unwrap_or(&job.id) } else { &job.id };
    let rest = ui.width().saturating_sub(id.len() + 45).max(if ui.is_terminal() { 20 } else { 40 });
    let shown = plain::cut(&shown, rest);
    format!("{id} {} {owner:12} {when:>12} ago  {shown}", ui.paint(&format!("{word:10}"), style))
}

pub fn since(ms: i64) -> u64 {
    u64::try_from(now_ms() - ms).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::status::sample;
    use crate::ui::{ColorChoice, Options};

    fn shown(agents: usize, screen: (usize, usize), all: bool) -> Vec<String> {
        let options = Options {
            json: false,
            quiet: false,
            verbose: false,
            yes: false,
            color: ColorChoice::Never,
            no_color_variable: false,
            utf8: true,
        };
        let ui = Ui::new(&options).on(screen);
        show(&sample(agents), &ui, all).lines().map(str::to_owned).collect()
    }

    #[test]
    fn one_agent_or_two_hundred_fit_a_screen_with_trouble_on_top() {
        for (agents, screen) in [(1, (80, 24)), (200, (80, 24)), (1, (200, 50)), (200, (200, 50)), (12, (200, 50))] {
            let lines = shown(agents, screen, false);
            assert!(lines.len() <= screen.1, "{agents} at {screen:?}: {lines:#?}");
            let failed = lines[0].starts_with("! agent-003 FAILED: its process exited with status 203");
            assert_eq!(agents > 3, failed, "{lines:#?}");
            let too_wide: Vec<&String> = lines.iter().skip(1).filter(|line| line.chars().count() > screen.0).collect();
            assert!(too_wide.is_empty(), "{agents} at {screen:?}: {too_wide:#?}");
            assert!(lines.iter().any(|line| line.contains('█') && line.contains("64M/512M")), "{lines:#?}");
        }
        let lines = shown(200, (80, 24), false);
        assert!(lines.contains(&"agents    200: 1 failed, 99 ready, 100 asleep".to_owned()), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("199 more, well and idle: agent-000, ")), "{lines:#?}");
        assert!(shown(200, (80, 24), true).len() > 200);
        // A few agents, too, whatever has to be left out for it; with room for it all is there.
        for agents in [2, 3, 5, 8, 11] {
            let lines = shown(agents, (80, 24), false);
            assert!(lines.len() < 24, "{agents}: {lines:#?}");
        }
        let has = |screen, text: &str| shown(5, screen, false).iter().any(|line| line.contains(text));
        assert!(has((120, 50), "/home/alice/agent-004") && !has((80, 24), "/home/alice/agent-004"));
        assert!(has((80, 24), "3 more, well and idle") || has((80, 24), "agent-004 "));
    }

    #[test]
    fn a_little_is_not_nothing() {
        let mut unit = sample(1).agents.remove(0);
        unit.cpu_percent = Some(0.26);
        assert_eq!(cpu(&unit).unwrap(), "0.3%/25%");
        unit.cpu_percent = Some(0.0);
        assert_eq!(cpu(&unit).unwrap(), "0%/25%");
        unit.cpu_percent = Some(101.4);
        assert_eq!(cpu(&unit).unwrap(), "101%/25%");
    }
}
