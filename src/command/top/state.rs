//! What is looked at, and what each key does. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::api::{Job, JobState};
use crate::command::status::{Status, Unit};

/// What the terminal's owner is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Do {
    Nothing,
    Quit,
    /// At once, and not when the time has come.
    Look,
    /// Runs a command of this program and shows what it prints.
    Show(Vec<String>),
    /// Runs one and waits for it.
    Run(Vec<String>),
    /// Nobody looks at the output any more.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pane {
    Units,
    Jobs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Name,
    /// What somebody should look at comes first.
    State,
    Memory,
    Cpu,
}

impl Order {
    pub fn as_str(self) -> &'static str {
        match self {
            Order::Name => "name",
            Order::State => "state",
            Order::Memory => "memory",
            Order::Cpu => "cpu",
        }
    }

    fn next(self) -> Order {
        match self {
            Order::Name => Order::State,
            Order::State => Order::Memory,
            Order::Memory => Order::Cpu,
            Order::Cpu => Order::Name,
        }
    }
}

/// What lies over the two panes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Over {
    Nothing,
    Help,
    /// A question; yes runs the command.
    Ask(String, Vec<String>),
    /// The filter is being typed.
    Filter,
    Output {
        title: String,
        lines: Vec<String>,
        /// Lines from the end; 0 follows what comes.
        back: usize,
    },
}

/// Lines of an output that are kept.
const KEPT: usize = 20_000;

pub struct State {
    pub status: Status,
    pub pane: Pane,
    pub order: Order,
    pub filter: String,
    pub over: Over,
    /// What became of the last command, or why the last look failed.
    pub message: Option<(bool, String)>,
    /// The unit and the job that are chosen, by name: lines move.
    unit: Option<String>,
    job: Option<String>,
    /// Lines of a page, as they were drawn last.
    pub page: usize,
    pub utf8: bool,
    pub color: bool,
}

impl State {
    pub fn new(status: Status, utf8: bool, color: bool) -> State {
        State {
            status,
            pane: Pane::Units,
            order: Order::Name,
            filter: String::new(),
            over: Over::Nothing,
            message: None,
            unit: None,
            job: None,
            page: 10,
            utf8,
            color,
        }
    }

    pub fn look(&mut self, status: Status) {
        self.status = status;
        if self.message.as_ref().is_some_and(|(_, text)| text.starts_with(OLD)) {
            self.message = None;
        }
    }

    pub fn trouble(&mut self, error: &anyhow::Error) {
        self.message = Some((false, format!("{OLD} {error:#}")));
    }

    pub fn begins(&mut self, command: &[String]) {
        self.message = Some((true, format!("{} …", words(command))));
    }

    /// Another command is under way.
    pub fn wait(&mut self) {
        const WAIT: &str = "one after the other: ";
        let text = self.message.as_ref().map_or("", |(_, text)| text.as_str());
        let text = text.strip_prefix(WAIT).unwrap_or(text);
        self.message = Some((false, format!("{WAIT}{text}")));
    }

    /// What became of a command.
    pub fn say(&mut self, command: &[String], done: Result<(), String>) {
        self.message = Some(match done {
            Ok(()) => (true, format!("{}: done", words(command))),
            Err(why) => (false, format!("{}: {why}", words(command))),
        });
    }

    pub fn append(&mut self, more: Vec<String>) {
        if let Over::Output { lines, back, .. } = &mut self.over {
            // Who looks at something above goes on seeing it.
            if *back > 0 {
                *back += more.len();
            }
            lines.extend(more);
            let old = lines.len().saturating_sub(KEPT);
            lines.drain(..old);
            *back = (*back).min(lines.len());
        }
    }

    /// The units as they are shown: those the filter lets through, in order; the runner comes first by name.
    pub fn units(&self) -> Vec<&Unit> {
        let is_wanted = |unit: &&Unit| self.filter.is_empty() || matches(unit, &self.filter);
        let mut units: Vec<&Unit> =
            std::iter::once(&self.status.runner).chain(&self.status.agents).filter(is_wanted).collect();
        let most = |value: Option<f64>| value.map_or(0, |value| -(value * 1000.0) as i64);
        match self.order {
            Order::Name => {}
            Order::State => units.sort_by_key(|unit| rank(unit.word)),
            Order::Memory => units.sort_by_key(|unit| most(unit.service.memory.map(|memory| memory as f64))),
            Order::Cpu => units.sort_by_key(|unit| most(unit.cpu_percent)),
        }
        units
    }

    pub fn jobs(&self) -> &[Job] {
        &self.status.last
    }

    pub fn chosen_unit(&self) -> usize {
        let units = self.units();
        self.unit.as_ref().and_then(|name| units.iter().position(|unit| unit.service.name == *name)).unwrap_or(0)
    }

    pub fn chosen_job(&self) -> usize {
        self.job.as_ref().and_then(|id| self.jobs().iter().position(|job| job.id == *id)).unwrap_or(0)
    }

    pub fn key(&mut self, key: KeyEvent) -> Do {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Do::Quit;
        }
        match &mut self.over {
            Over::Nothing => {
                // It was read.
                if self.message.as_ref().is_some_and(|(_, text)| !text.ends_with('…') && !text.starts_with(OLD)) {
                    self.message = None;
                }
                self.key_of_panes(key.code)
            }
            Over::Help => {
                self.over = Over::Nothing;
                Do::Nothing
            }
            Over::Ask(_, command) => {
                let command = std::mem::take(command);
                self.over = Over::Nothing;
                if matches!(key.code, KeyCode::Char('y' | 'Y')) { Do::Run(command) } else { Do::Nothing }
            }
            Over::Filter => {
                match key.code {
                    KeyCode::Enter => self.over = Over::Nothing,
                    KeyCode::Esc => {
                        self.filter.clear();
                        self.over = Over::Nothing;
                    }
                    KeyCode::Backspace => {
                        self.filter.pop();
                    }
                    KeyCode::Char(c) => self.filter.push(c),
                    _ => {}
                }
                Do::Nothing
            }
            Over::Output { lines, back, .. } => {
                let most = lines.len().saturating_sub(self.page);
                match key.code {
                    KeyCode::Esc | KeyCode::Char('q') => {
                        self.over = Over::Nothing;
                        return Do::Close;
                    }
                    KeyCode::Up | KeyCode::Char('k') => *back = (*back + 1).min(most),
                    KeyCode::Down | KeyCode::Char('j') => *back = back.saturating_sub(1),
                    KeyCode::PageUp | KeyCode::Char('b') => *back = (*back + self.page).min(most),
                    KeyCode::PageDown | KeyCode::Char(' ') => *back = back.saturating_sub(self.page),
                    KeyCode::Home | KeyCode::Char('g') => *back = most,
                    KeyCode::End | KeyCode::Char('G') => *back = 0,
                    _ => {}
                }
                Do::Nothing
            }
        }
    }

    fn key_of_panes(&mut self, code: KeyCode) -> Do {
        let page = isize::try_from(self.page).unwrap_or(10);
        match code {
            KeyCode::Char('q') => return Do::Quit,
            KeyCode::Esc if self.filter.is_empty() => return Do::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') => self.over = Over::Help,
            KeyCode::Tab | KeyCode::BackTab => {
                self.pane = if self.pane == Pane::Units { Pane::Jobs } else { Pane::Units };
            }
            KeyCode::Up | KeyCode::Char('k') => self.go(-1),
            KeyCode::Down | KeyCode::Char('j') => self.go(1),
            KeyCode::PageUp => self.go(-page),
            KeyCode::PageDown => self.go(page),
            KeyCode::Home | KeyCode::Char('g') => self.go(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.go(isize::MAX),
            KeyCode::Char('/') => self.over = Over::Filter,
            KeyCode::Char('o') => self.order = self.order.next(),
            KeyCode::Char(' ') => return Do::Look,
            KeyCode::Enter | KeyCode::Char('l') => return self.show(),
            KeyCode::Char('c') if self.pane == Pane::Jobs => self.ask_to_cancel(),
            KeyCode::Char(c) if self.pane == Pane::Units => self.ask(c),
            _ => {}
        }
        Do::Nothing
    }

    /// Moves the choice, as far as there are lines.
    fn go(&mut self, by: isize) {
        let moved =
            |now: usize, count: usize| now.saturating_add_signed(by.max(-(now as isize))).min(count.saturating_sub(1));
        match self.pane {
            Pane::Units => {
                let to = moved(self.chosen_unit(), self.units().len());
                self.unit = self.units().get(to).map(|unit| unit.service.name.clone());
            }
            Pane::Jobs => {
                let to = moved(self.chosen_job(), self.jobs().len());
                self.job = self.jobs().get(to).map(|job| job.id.clone());
            }
        }
    }

    /// Log of the unit, or the job: its events while it goes on, what became of it afterwards.
    fn show(&mut self) -> Do {
        let (title, command) = match self.pane {
            Pane::Units => {
                let Some(name) = self.name_of_unit() else { return Do::Nothing };
                (format!("log of {name}"), ["logs", &name, "--follow", "-n", "500"].map(str::to_owned).to_vec())
            }
            Pane::Jobs => {
                let Some(job) = self.jobs().get(self.chosen_job()) else { return Do::Nothing };
                let verb = if job.state == JobState::Ended { "show" } else { "follow" };
                (format!("job {}", job.id), ["job", verb, &job.id].map(str::to_owned).to_vec())
            }
        };
        self.over = Over::Output { title, lines: Vec::new(), back: 0 };
        Do::Show(command)
    }

    fn name_of_unit(&self) -> Option<String> {
        self.units().get(self.chosen_unit()).map(|unit| unit.name.clone())
    }

    fn ask(&mut self, key: char) {
        let verb = match key {
            'r' => "restart",
            's' => "stop",
            'S' => "start",
            'd' => "drain",
            'p' => "pause",
            'u' => "resume",
            _ => return,
        };
        let Some(name) = self.name_of_unit() else { return };
        let mut command: Vec<String> = ["agent", verb, &name, "--quiet"].map(str::to_owned).to_vec();
        if verb == "drain" {
            command.push("--no-wait".into());
        }
        self.over = Over::Ask(format!("{verb} {name}?"), command);
    }

    fn ask_to_cancel(&mut self) {
        let Some(job) = self.jobs().get(self.chosen_job()).filter(|job| job.state != JobState::Ended) else { return };
        let command = ["job", "cancel", &job.id, "--quiet"].map(str::to_owned).to_vec();
        self.over = Over::Ask(format!("cancel job {}?", job.id), command);
    }
}

fn words(command: &[String]) -> String {
    command.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect::<Vec<_>>().join(" ")
}

const OLD: &str = "what is shown is old:";

fn matches(unit: &Unit, filter: &str) -> bool {
    let filter = filter.to_lowercase();
    [Some(unit.name.as_str()), Some(unit.word), unit.project.as_deref()]
        .into_iter()
        .flatten()
        .any(|text| text.to_lowercase().contains(&filter))
}

/// States in the order in which somebody should look at them.
fn rank(word: &str) -> usize {
    const ORDER: [&str; 9] =
        ["failed", "crash-loop", "absent", "restarting", "stopped", "starting", "draining", "paused", "working"];
    ORDER.iter().position(|known| *known == word).unwrap_or(ORDER.len() + usize::from(word == "asleep"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::status::sample;

    fn keys(state: &mut State, keys: &str) -> Do {
        let mut done = Do::Nothing;
        for c in keys.chars() {
            let code = match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\x1b' => KeyCode::Esc,
                '\x08' => KeyCode::Backspace,
                c => KeyCode::Char(c),
            };
            done = state.key(KeyEvent::new(code, KeyModifiers::NONE));
        }
        done
    }

    fn state() -> State {
        State::new(sample(5), true, true)
    }

    fn names(state: &State) -> Vec<&str> {
        state.units().iter().map(|unit| unit.name.as_str()).collect()
    }

    #[test]
    fn nothing_is_changed_without_a_yes() {
        for (key, verb) in
            [('r', "restart"), ('s', "stop"), ('S', "start"), ('d', "drain"), ('p', "pause"), ('u', "resume")]
        {
            let mut state = state();
            assert_eq!(keys(&mut state, &format!("j{key}")), Do::Nothing);
            assert_eq!(
                state.over,
                Over::Ask(format!("{verb} agent-000?"), {
                    let mut command: Vec<String> = ["agent", verb, "agent-000", "--quiet"].map(str::to_owned).to_vec();
                    command.extend((verb == "drain").then(|| "--no-wait".to_owned()));
                    command
                })
            );
            assert_eq!(keys(&mut state, "n"), Do::Nothing);
            assert_eq!(state.over, Over::Nothing);
            let Do::Run(command) = keys(&mut state, &format!("{key}y")) else { panic!("{verb} was not run") };
            assert_eq!(command[..3], ["agent", verb, "agent-000"]);
        }
    }

    #[test]
    fn the_choice_goes_with_its_line() {
        let mut state = state();
        keys(&mut state, "jjj");
        assert_eq!(names(&state)[state.chosen_unit()], "agent-002");
        // Those with trouble come first now.
        keys(&mut state, "o");
        assert_eq!(
            (state.order, names(&state)[0], names(&state)[state.chosen_unit()]),
            (Order::State, "agent-003", "agent-002")
        );
        let mut fewer = sample(5);
        fewer.agents.retain(|agent| agent.name != "agent-002");
        state.look(fewer);
        assert_eq!(state.chosen_unit(), 0);
        keys(&mut state, "Gj");
        assert_eq!(state.chosen_unit(), 4);
        keys(&mut state, "gk");
        assert_eq!(state.chosen_unit(), 0);
    }

    #[test]
    fn the_filter_takes_letters_that_are_keys_elsewhere() {
        let mut state = state();
        assert_eq!(keys(&mut state, "/agent-00q\x083"), Do::Nothing);
        assert_eq!(names(&state), ["agent-003"]);
        keys(&mut state, "\n");
        assert_eq!((names(&state).len(), &state.over), (1, &Over::Nothing));
        // Esc takes the filter away first.
        assert_eq!(keys(&mut state, "\x1b"), Do::Nothing);
        assert_eq!(names(&state).len(), 6);
        assert_eq!(keys(&mut state, "/nobody"), Do::Nothing);
        assert_eq!(keys(&mut state, "\nrly\n"), Do::Nothing, "there is nothing to act on");
    }

    #[test]
    fn enter_looks_into_what_is_chosen() {
        let mut state = state();
        assert_eq!(
            keys(&mut state, "\n"),
            Do::Show(["logs", "runner", "--follow", "-n", "500"].map(str::to_owned).to_vec())
        );
        state.append((0..100).map(|n| n.to_string()).collect());
        keys(&mut state, "kk");
        state.append(vec!["more".into()]);
        assert!(matches!(state.over, Over::Output { back: 3, .. }), "what is looked at stays in its place");
        assert_eq!(keys(&mut state, "q"), Do::Close);
        let Do::Show(ended) = keys(&mut state, "\t\n") else { panic!("no job is shown") };
        assert_eq!(ended[..2], ["job", "show"]);
        keys(&mut state, "q");
        let Do::Show(runs) = keys(&mut state, "j\n") else { panic!("no job is shown") };
        assert_eq!(runs[..2], ["job", "follow"]);
        keys(&mut state, "q");
        let Do::Run(cancel) = keys(&mut state, "cy") else { panic!("it is not cancelled") };
        assert_eq!(cancel[..2], ["job", "cancel"]);
        assert_eq!(keys(&mut state, "kc"), Do::Nothing, "what has ended cannot be cancelled");
        assert_eq!(state.over, Over::Nothing);
    }

    #[test]
    fn what_could_not_be_looked_at_is_said_until_it_can() {
        let mut state = state();
        state.trouble(&anyhow::anyhow!("no bus"));
        assert_eq!(state.message, Some((false, "what is shown is old: no bus".into())));
        keys(&mut state, "j");
        assert!(state.message.is_some());
        state.look(sample(5));
        assert_eq!(state.message, None);
        state.say(&["agent".into(), "stop".into(), "a".into(), "--quiet".into()], Err("error: no".into()));
        assert_eq!(state.message, Some((false, "agent stop a: error: no".into())));
        keys(&mut state, "j");
        assert_eq!(state.message, None);
    }
}
