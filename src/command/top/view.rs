//! State → screen. Small screens lose columns and then the lower pane, and no line is ever wrapped.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use super::state::{Over, Pane, State};
use crate::api::{Job, JobState};
use crate::command::status::{self, Unit};
use crate::plain;
use crate::quantity;
use crate::review::Outcome;

pub fn draw(frame: &mut Frame<'_>, state: &mut State) {
    let area = frame.area();
    if area.height < 4 || area.width < 20 {
        frame.render_widget(Paragraph::new("too small"), area);
        return;
    }
    if let Over::Output { .. } = state.over {
        output(frame, area, state);
        return;
    }
    let heads = heads(state, area.width.into());
    let units = state.units().len();
    // Two lines of each pane are its own: title and, of units, columns.
    let jobs = if area.height >= 16 { (state.jobs().len() as u16 + 1).min(area.height / 3) } else { 0 };
    let [head, upper, lower, foot] = Layout::vertical([
        Constraint::Length(heads.len() as u16),
        Constraint::Min(3),
        Constraint::Length(jobs),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(heads), head);
    let page = match state.pane {
        Pane::Units => upper.height.saturating_sub(1),
        Pane::Jobs => lower.height.saturating_sub(1),
    };
    state.page = usize::from(page).max(1);
    frame.render_widget(Paragraph::new(unit_lines(state, upper, units)), upper);
    frame.render_widget(Paragraph::new(job_lines(state, lower)), lower);
    frame.render_widget(Paragraph::new(foot_line(state, foot.width.into())), foot);
    match &state.over {
        Over::Help => over(frame, area, "keys", HELP.lines().map(Line::from).collect(), state),
        Over::Ask(question, _) => {
            over(
                frame,
                area,
                "really?",
                vec![Line::from(question.clone()), Line::from("y: yes, any other key: no")],
                state,
            );
        }
        Over::Nothing | Over::Filter | Over::Output { .. } => {}
    }
}

const HELP: &str = "up, down, j, k   move           Tab   agents or jobs
Enter, l   log of the agent, events of the job
r   restart        s   stop       S   start
d   drain          p   pause      u   resume
c   cancel the job
o   sort           /   filter     Space  look now
q   quit           any key closes this";

fn painted(state: &State, style: Style) -> Style {
    if state.color { style } else { Style { fg: None, bg: None, ..style } }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn of_word(state: &State, word: &str) -> Style {
    let color = match word {
        "ready" | "working" | "asleep" | "foreground" | "reviewed" => Color::Green,
        "failed" | "crash-loop" | "absent" | "partial" => Color::Red,
        _ => Color::Yellow,
    };
    painted(state, Style::new().fg(color))
}

/// What is wrong, then what there is.
fn heads(state: &State, width: usize) -> Vec<Line<'static>> {
    let status = &state.status;
    let mut lines = Vec::new();
    let trouble = status::trouble(status);
    let shown = trouble.len().min(3);
    for (index, text) in trouble[..shown].iter().enumerate() {
        let more = trouble.len() - shown;
        let text = if index + 1 == shown && more > 0 {
            format!("{text} (and {more} more: `cicdctl status`)")
        } else {
            text.clone()
        };
        let style = painted(state, bold().fg(Color::Red));
        lines.push(Line::from(vec![Span::styled("! ", style), Span::raw(plain::cut(&text, width.saturating_sub(2)))]));
    }
    let queue = &status.queue;
    let age = queue
        .oldest_queued_ms
        .map_or(String::new(), |ms| format!(", oldest {}", quantity::duration(status::since(ms))));
    let mut text = format!("{} running, {} queued{age}", queue.running, queue.queued);
    if !status.agents.is_empty() {
        text = format!("{}   {text}", status::summary(&status.agents));
    }
    let name = if status.agents.is_empty() { "cicdctl " } else { "agents " };
    lines.push(cut_line(vec![Span::styled(name, bold()), Span::raw(text)], width));
    if let Some((line, counts)) = status::last_hour(&status.last_hour, state.utf8) {
        let line = Span::styled(line, painted(state, Style::new().fg(Color::Cyan)));
        lines.push(cut_line(vec![Span::raw("last hour "), line, Span::raw(format!("  {counts}"))], width));
    }
    lines
}

fn cut_line(spans: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let mut left = width;
    let mut kept = Vec::new();
    for span in spans {
        if left == 0 {
            break;
        }
        let text = plain::cut(&span.content, left);
        left -= text.chars().count().min(left);
        kept.push(Span::styled(text, span.style));
    }
    Line::from(kept)
}

/// The part of `count` lines that is seen, so that the chosen one is.
fn window(chosen: usize, count: usize, height: usize) -> std::ops::Range<usize> {
    let first = chosen.saturating_sub(height.saturating_sub(1)).min(count.saturating_sub(height));
    first..(first + height).min(count)
}

fn unit_lines(state: &State, area: Rect, count: usize) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let units = state.units();
    let chosen = state.chosen_unit();
    let name = units.iter().map(|unit| unit.name.chars().count()).max().unwrap_or(0).clamp(8, 24);
    let wide = width >= 110;
    let bar = if wide {
        16
    } else if width >= 74 {
        8
    } else {
        0
    };
    let mut head = format!("{:name$} {:10} ", "NAME", "STATE");
    head.push_str(&format!("{:>w$} ", "MEMORY", w = bar + 12));
    head.push_str(&format!("{:>w$} {:>9}", "CPU", "TASKS", w = bar + 12));
    if wide {
        head.push_str(&format!(" {:>8} {:>12}  {}", "RESTARTS", "UP FOR", "PROJECT"));
    }
    let head = plain::cut(&head, width);
    let mut lines =
        vec![Line::styled(format!("{head:width$}"), painted(state, Style::new().add_modifier(Modifier::REVERSED)))];
    let height = usize::from(area.height).saturating_sub(1);
    for index in window(chosen, count, height) {
        let line = unit_line(state, units[index], name, bar, wide, width);
        lines.push(if index == chosen && state.pane == Pane::Units {
            line.patch_style(bold().add_modifier(Modifier::UNDERLINED))
        } else {
            line
        });
    }
    if units.is_empty() {
        lines.push(Line::from("nothing matches the filter"));
    }
    lines
}

fn unit_line(state: &State, unit: &Unit, name: usize, bar: usize, wide: bool, width: usize) -> Line<'static> {
    let service = &unit.service;
    let gauge = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
        (Some(part), Some(whole)) if bar > 0 => {
            let color = match part / whole {
                share if share >= 0.9 => Color::Red,
                share if share >= 0.7 => Color::Yellow,
                _ => Color::Green,
            };
            Span::styled(status::bar(part, whole, bar, state.utf8), painted(state, Style::new().fg(color)))
        }
        _ => Span::raw(" ".repeat(bar)),
    };
    let used = service.memory.filter(|_| service.is_active()).map(|memory| memory as f64);
    let mut spans = vec![
        Span::styled(format!("{:name$} ", plain::cut(&unit.name, name)), bold()),
        Span::styled(format!("{:10} ", unit.word), of_word(state, unit.word)),
        gauge(used, unit.memory_limit()),
        Span::raw(format!("{:>12} ", status::memory(unit).unwrap_or_default())),
        gauge(unit.cpu_percent, unit.cpu_limit()),
        Span::raw(format!(
            "{:>12} {:>9}",
            status::cpu(unit).unwrap_or_default(),
            status::tasks(unit).unwrap_or_default()
        )),
    ];
    if wide {
        let restarts = service.restarts.filter(|restarts| *restarts > 0).map_or(String::new(), |n| n.to_string());
        let up = service.since_usec.filter(|_| service.is_active()).and_then(|usec| i64::try_from(usec / 1000).ok());
        let up = up.map_or(String::new(), |ms| quantity::duration(status::since(ms)));
        let project = unit.project.as_deref().unwrap_or_default();
        spans.push(Span::raw(format!(" {restarts:>8} {up:>12}  {project}")));
    }
    cut_line(spans, width)
}

fn job_lines(state: &State, area: Rect) -> Vec<Line<'static>> {
    if area.height == 0 {
        return Vec::new();
    }
    let width = usize::from(area.width);
    let head = plain::cut(&format!("{:10} {:10} {:>14}  {}", "JOB", "STATE", "AGE", "AGENT, WHAT"), width);
    let mut lines =
        vec![Line::styled(format!("{head:width$}"), painted(state, Style::new().add_modifier(Modifier::REVERSED)))];
    let jobs = state.jobs();
    let height = usize::from(area.height).saturating_sub(1);
    let chosen = state.chosen_job();
    for index in window(chosen, jobs.len(), height) {
        let line = job_line(state, &jobs[index], width);
        lines.push(if index == chosen && state.pane == Pane::Jobs {
            line.patch_style(bold().add_modifier(Modifier::UNDERLINED))
        } else {
            line
        });
    }
    lines
}

fn job_line(state: &State, job: &Job, width: usize) -> Line<'static> {
    let word = match (job.state, job.outcome) {
        (JobState::Ended, Some(outcome)) => outcome.as_str(),
        (other, _) => other.as_str(),
    };
    let owner = job.agent.as_ref().map_or("runner", |agent| agent.as_str());
    let age = quantity::duration(status::since(job.ended_ms.unwrap_or(job.created_ms)));
    let why = job.reason.as_ref().or(job.waits_because.as_ref()).filter(|_| job.outcome != Some(Outcome::Reviewed));
    let why = why.map_or(String::new(), |why| format!(": {}", why.lines().next().unwrap_or_default()));
    let id = job.id.get(job.id.len().saturating_sub(10)..).unwrap_or(&job.id);
    let of = plain::visible(&format!("{owner}  {}{why}", job.request.subject()));
    cut_line(
        vec![
            Span::raw(format!("{id:10} ")),
            Span::styled(format!("{word:10} "), of_word(state, word)),
            Span::raw(format!("{age:>14}  {of}")),
        ],
        width,
    )
}

fn foot_line(state: &State, width: usize) -> Line<'static> {
    let (text, style) = match (&state.over, &state.message) {
        (Over::Filter, _) => {
            (format!("part of name, state or project: {}_   Enter: keep, Esc: drop", state.filter), Style::new())
        }
        (_, Some((good, text))) => (text.clone(), Style::new().fg(if *good { Color::Green } else { Color::Red })),
        _ => {
            let filter = if state.filter.is_empty() { String::new() } else { format!(", only `{}`", state.filter) };
            let order = format!("by {}{filter}", state.order.as_str());
            (format!("sorted {order}   ?: keys   Enter: look into   Tab: jobs   /: filter   q: quit"), Style::new())
        }
    };
    Line::styled(plain::cut(&text, width), painted(state, style))
}

fn output(frame: &mut Frame<'_>, area: Rect, state: &mut State) {
    let Over::Output { title, lines, back } = &state.over else { return };
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    let width = usize::from(area.width);
    let height = usize::from(body.height);
    let end = lines.len().saturating_sub(*back);
    let start = end.saturating_sub(height);
    let shown: Vec<Line<'_>> = lines[start..end].iter().map(|line| Line::from(plain::cut(line, width))).collect();
    let reversed = painted(state, Style::new().add_modifier(Modifier::REVERSED));
    frame.render_widget(Line::styled(format!("{:width$}", plain::cut(title, width)), reversed), head);
    frame.render_widget(Paragraph::new(shown), body);
    let place = if *back == 0 { "at the end".into() } else { format!("{back} lines below") };
    let keys = format!("up, down, PageUp, PageDown, g, G: move   q: back   ({place})");
    frame.render_widget(Line::from(plain::cut(&keys, width)), foot);
    state.page = height.max(1);
}

fn over(frame: &mut Frame<'_>, area: Rect, title: &str, lines: Vec<Line<'_>>, state: &State) {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(title.len()) as u16;
    let (width, height) = ((widest + 4).min(area.width), (lines.len() as u16 + 2).min(area.height));
    let place = Rect::new((area.width - width) / 2, (area.height - height) / 2, width, height);
    let block = ratatui::widgets::Block::bordered()
        .title(title.to_owned())
        .border_style(painted(state, Style::new().fg(Color::Cyan)));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::command::status::sample;

    fn drawn(state: &mut State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn trouble_agents_jobs_and_keys_are_on_a_small_screen() {
        let lines = drawn(&mut State::new(sample(200), true, true), 80, 24);
        assert!(lines[0].starts_with("! agent-003 FAILED"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("agents 200: ")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("runner") && line.contains("64M/512M")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("reviewed")), "{lines:#?}");
        assert!(lines[23].starts_with("sorted by name   ?: keys"), "{lines:#?}");
    }

    #[test]
    fn a_large_screen_says_more() {
        let lines = drawn(&mut State::new(sample(3), true, true), 200, 50);
        assert!(lines.iter().any(|line| line.contains("RESTARTS") && line.contains("PROJECT")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("/home/alice/agent-001")), "{lines:#?}");
    }

    #[test]
    fn every_size_and_everything_that_lies_above_is_drawn() {
        let mut state = State::new(sample(200), false, false);
        let output = Over::Output { title: "log".into(), lines: vec!["x".repeat(500); 300], back: 7 };
        for over in [Over::Nothing, Over::Help, Over::Filter, Over::Ask("stop it?".into(), Vec::new()), output] {
            state.over = over;
            for (width, height) in [(1, 1), (20, 4), (21, 7), (40, 10), (74, 16), (80, 24), (110, 30), (200, 50)] {
                drawn(&mut state, width, height);
            }
        }
        state.over = Over::Nothing;
        state.filter = "nobody".into();
        assert!(drawn(&mut state, 80, 24).iter().any(|line| line == "nothing matches the filter"));
    }

    #[test]
    fn the_chosen_line_is_always_seen() {
        for chosen in 0..50 {
            for height in 1..60 {
                assert!(window(chosen, 50, height).contains(&chosen), "{chosen} {height}");
            }
        }
        assert_eq!(window(0, 0, 5), 0..0);
    }
}
