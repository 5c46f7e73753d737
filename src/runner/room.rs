//! No job begins on a disk that is almost full: it waits in the queue, and whoever asks is told why. Once each time that
//! this begins, what is old is given back.

use std::sync::{Arc, Mutex, PoisonError};

use super::Shared;
use crate::api::{Job, JobState};
use crate::config::Config;
use crate::disk::{self, collect};
use crate::quantity;

/// Why nothing begins; `None` while there is room.
#[derive(Default)]
pub struct Gate {
    closed: Mutex<Option<String>>,
}

impl Gate {
    pub fn why_closed(&self) -> Option<String> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was open before, and whether it is open now.
    fn set(&self, why: Option<String>) -> (bool, bool) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        let (was, is) = (closed.is_none(), why.is_none());
        *closed = why;
        (was, is)
    }
}

/// Whether another job may begin.
pub fn is_there(shared: &Arc<Shared>, config: Option<&Config>) -> bool {
    // A configuration that is wrong shows in the job.
    let Some(config) = config else { return true };
    let why = disk::tight(&shared.host.paths, config.disk.min_free);
    match shared.room.set(why.clone()) {
        (true, false) => {
            tracing::warn!("{}; {}", why.unwrap_or_default(), disk::REMEDY);
            shared.changed.notify_one();
            tokio::spawn(give_back(shared.clone(), config.clone()));
            false
        }
        (false, true) => {
            tracing::info!("there is room on the disk again");
            shared.changed.notify_one();
            true
        }
        // As long as nothing begins, nobody else says how many wait.
        (false, false) => {
            shared.changed.notify_one();
            false
        }
        (true, true) => true,
    }
}

async fn give_back(shared: Arc<Shared>, config: Config) {
    match collect::collect(&shared.host.paths, &config, &shared.cage, false).await {
        Ok(Some(report)) => {
            tracing::info!("gave {} of the disk back", quantity::bytes(report.bytes()));
            for problem in report.problems {
                tracing::warn!("{problem}");
            }
        }
        // Another process does it.
        Ok(None) => {}
        Err(error) => tracing::warn!("could not give anything back: {error:#}"),
    }
    shared.work.notify_one();
}

/// A job that waits says for what, without a write to the disk that has no room for it.
pub fn explain(shared: &Shared, job: &mut Job) {
    if job.state == JobState::Queued
        && let Some(why) = shared.room.why_closed()
    {
        job.reason = Some(format!("{why}; {}", disk::REMEDY));
    }
}
