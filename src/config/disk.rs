//! `[disk]`: what is kept for how long, and how much must stay free.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Size, Span};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// With less than that no review begins.
    pub min_free: Size,
    /// Jobs that have ended, with their reviews and events.
    pub keep_jobs: Span,
    /// What is kept between the reviews of a pull request: conversations and logs of the engines, commits that nothing
    /// refers to.
    pub keep_sessions: Span,
    /// Copies of the store from before a migration.
    pub keep_backups: Span,
    /// All mirrors together.
    pub cache_max: Size,
    /// How often `cicdctl gc` runs by itself.
    pub gc: Every,
}

impl Default for DiskConfig {
    fn default() -> Self {
        DiskConfig {
            min_free: Size(500 << 20),
            keep_jobs: Span::secs(90 * DAY),
            keep_sessions: Span::secs(30 * DAY),
            keep_backups: Span::secs(30 * DAY),
            cache_max: Size(5 << 30),
            gc: Every::Daily,
        }
    }
}

const DAY: u64 = 24 * 3600;
/// A hundred years: beyond it a moment in the past could not be told.
const MOST: Span = Span::secs(36_500 * DAY);

impl DiskConfig {
    /// The key is dotted.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (key, kept) in [
            ("disk.keep_jobs", self.keep_jobs),
            ("disk.keep_sessions", self.keep_sessions),
            ("disk.keep_backups", self.keep_backups),
        ] {
            if !(Span::secs(DAY)..=MOST).contains(&kept) {
                return Err((key, format!("write {} to {MOST}", Span::secs(DAY))));
            }
        }
        Ok(())
    }
}

/// A calendar event of systemd.time(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Every {
    Off,
    Hourly,
    #[default]
    Daily,
    Weekly,
}

impl Every {
    /// As `OnCalendar=` has it; `None`: not at all.
    pub fn on_calendar(self) -> Option<&'static str> {
        match self {
            Every::Off => None,
            Every::Hourly => Some("hourly"),
            Every::Daily => Some("daily"),
            Every::Weekly => Some("weekly"),
        }
    }
}
