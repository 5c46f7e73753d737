//! How a review goes, on stderr: a line for each thing that happens, and, where that is a terminal, one below them that says
//! what is being done for how long, and how much the engine has looked at.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::{Happening, JobEvent, Stage};
use crate::engine::Progress;
use crate::quantity;
use crate::ui::Ui;

/// The line below is taken away when this is dropped.
pub struct Meter<'u> {
    ui: &'u Ui,
    state: Mutex<State>,
}

struct State {
    began: Instant,
    stage: Option<(Stage, Instant)>,
    tools: usize,
    /// What tools were used on.
    targets: HashSet<String>,
    is_over: bool,
}

impl<'u> Meter<'u> {
    pub fn new(ui: &'u Ui) -> Meter<'u> {
        Meter { ui, state: Mutex::new(State::at(Instant::now())) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, event: &JobEvent) {
        self.state().note(&event.what, Instant::now());
        self.ui.end_live();
        line(self.ui, event);
        self.draw();
    }

    /// Something else that people are to know.
    pub fn say(&self, text: &str) {
        self.ui.end_live();
        self.ui.say(text);
        self.draw();
    }

    /// Goes on for as long as it is waited for.
    pub async fn run(&self) -> Infallible {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.draw();
        }
    }

    fn draw(&self) {
        if let Some(text) = self.state().in_words(Instant::now()) {
            self.ui.live(&text);
        }
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        self.ui.end_live();
    }
}

impl State {
    fn note(&mut self, what: &Happening, now: Instant) {
        match what {
            Happening::Stage { stage, .. } => self.stage = Some((*stage, now)),
            Happening::Started { .. } => *self = State { began: self.began, ..State::at(now) },
            Happening::Engine { progress: Progress::Tool { name: _, target } } => {
                self.tools += 1;
                if !target.is_empty() {
                    self.targets.insert(target.clone());
                }
            }
            Happening::Ended { .. } => self.is_over = true,
            _ => {}
        }
    }

    fn at(now: Instant) -> State {
        State { began: now, stage: None, tools: 0, targets: HashSet::new(), is_over: false }
    }

    /// Such as: `engine for 42.0 s: 17 tool calls on 5 places (1 min 3 s in all)`.
    fn in_words(&self, now: Instant) -> Option<String> {
        let since = |then: Instant| {
            let seconds = now.saturating_duration_since(then).as_secs();
            if seconds < 60 { format!("{seconds} s") } else { quantity::duration(seconds * 1000) }
        };
        let (stage, from) = self.stage.filter(|_| !self.is_over)?;
        let used = match (self.tools, self.targets.len()) {
            (0, _) => String::new(),
            (tools, 0) => format!(": {}", quantity::count(tools, "tool call")),
            (tools, places) => {
                format!(": {} on {}", quantity::count(tools, "tool call"), quantity::count(places, "place"))
            }
        };
        Some(format!("{} for {}{used} ({} in all)", stage.as_str(), since(from), since(self.began)))
    }
}

/// What happens, for people, on stderr.
fn line(ui: &Ui, event: &JobEvent) {
    match &event.what {
        Happening::Accepted | Happening::Ended { .. } => {}
        Happening::Started { attempt: 1 } => {}
        Happening::Started { attempt } => ui.say(&format!("begun again (attempt {attempt})")),
        Happening::Requeued { reason, until_ms: None } => ui.say(&format!("back in the queue: {reason}")),
        Happening::Requeued { reason, until_ms: Some(until) } => {
            ui.say(&format!("back in the queue until {}: {}", quantity::time(*until), crate::plain::visible(reason)));
        }
        Happening::Stage { stage, detail } => {
            ui.say(&format!("{:7} {}", stage.as_str(), crate::plain::visible(detail)));
        }
        Happening::Engine { progress } => match progress {
            Progress::Started { engine, version, model } => {
                let words = [Some(engine.as_str()), version.as_deref(), model.as_deref()];
                ui.detail(&format!("engine  {}", words.into_iter().flatten().collect::<Vec<_>>().join(" ")));
            }
            Progress::Tool { name, target } => {
                ui.say(&format!("engine  {} {}", crate::plain::visible(name), crate::plain::visible(target)));
            }
            Progress::Waiting { reason, retry_ms } => {
                ui.say(&format!("engine  waits {}: {}", quantity::duration(*retry_ms), crate::plain::visible(reason)));
            }
            Progress::Note { text } => ui.say(&format!("engine  {}", crate::plain::visible(text))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_done_and_for_how_long() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut state = State::at(began);
        assert_eq!(state.in_words(at(1)), None, "it has not begun");
        state.note(&Happening::Stage { stage: Stage::Engine, detail: String::new() }, at(3));
        assert_eq!(state.in_words(at(5)).unwrap(), "engine for 2 s (5 s in all)");
        for target in ["a.rs", "b.rs", "a.rs"] {
            let progress = Progress::Tool { name: "Read".into(), target: target.into() };
            state.note(&Happening::Engine { progress }, at(6));
        }
        assert_eq!(
            state.in_words(at(70)).unwrap(),
            "engine for 1 min 7 s: 3 tool calls on 2 places (1 min 10 s in all)"
        );
        state.note(&Happening::Started { attempt: 2 }, at(71));
        state.note(&Happening::Stage { stage: Stage::Fetch, detail: String::new() }, at(72));
        assert_eq!(state.in_words(at(73)).unwrap(), "fetch for 1 s (1 min 13 s in all)");
        state.note(&Happening::Ended { outcome: crate::review::Outcome::Reviewed, reason: None }, at(74));
        assert_eq!(state.in_words(at(75)), None);
    }
}
