//! Why a runner begins no job though some may wait: it is paused, it is drained before a stop, or its configuration is
//! wrong. The worker finds out, `STATUS=` says it, and a drain ends in a stop.

use std::sync::{Mutex, PoisonError};

use anyhow::Result;

use super::{Scope, Shared};
use crate::config::Config;
use crate::host::Host;
use crate::plain;
use crate::review;
use crate::store::Pause;

/// Longest text in `STATUS=`, which is one line among others.
const MAX_TEXT: usize = 400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    Paused(Pause),
    /// What is wrong with the configuration.
    Misconfigured(String),
}

impl Hold {
    pub fn in_words(&self) -> String {
        let text = match self {
            Hold::Paused(pause) => pause.in_words(),
            Hold::Misconfigured(why) => format!("the configuration is wrong and nothing is begun: {why}"),
        };
        plain::one_line(&text, MAX_TEXT)
    }

    /// It is to stop once nothing runs.
    pub fn drains(&self) -> bool {
        matches!(self, Hold::Paused(pause) if pause.drains)
    }
}

/// What holds, as the worker has found it last.
#[derive(Default)]
pub struct Held(Mutex<Option<Hold>>);

impl Held {
    pub fn now(&self) -> Option<Hold> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether that is news.
    fn set(&self, hold: Option<Hold>) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *held != hold;
        *held = hold;
        is_news
    }
}

impl Shared {
    /// Notes what holds, and says so once.
    #[expect(clippy::needless_pass_by_value, reason = "what holds is made for this")]
    pub(super) fn say_held(&self, hold: Option<Hold>) {
        let before = self.held.now();
        if !self.held.set(hold.clone()) {
            return;
        }
        match (&hold, before) {
            (Some(hold @ Hold::Misconfigured(_)), _) => tracing::error!("{}", hold.in_words()),
            (Some(hold @ Hold::Paused(_)), _) => tracing::info!("{}", hold.in_words()),
            (None, Some(Hold::Misconfigured(_))) => tracing::info!("the configuration is right again"),
            (None, _) => tracing::info!("nothing holds the queue any more"),
        }
        self.changed.notify_one();
    }

    /// The configuration can be read, so it is not what holds.
    pub(super) fn say_right_again(&self) {
        if matches!(self.held.now(), Some(Hold::Misconfigured(_))) {
            self.say_held(None);
        }
    }
}

/// The configuration that a job would begin with now. With a wrong one it would fail, and it is nobody's fault but that
/// of an edit that is perhaps not done yet: so it waits.
pub fn configuration(host: &Host, scope: &Scope) -> Result<Config, Hold> {
    let read = || -> Result<Config> {
        let user = host.config()?;
        Ok(match scope.agent().map(|name| host.agent(name, &user)).transpose()?.flatten() {
            Some(agent) => Config { runner: user.runner, ..agent.config },
            None => user,
        })
    };
    read().map_err(|error| Hold::Misconfigured(review::reason(&error)))
}
