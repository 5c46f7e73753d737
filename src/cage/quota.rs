//! What a job may take on the disk. Without root there are no quotas of file systems, so it is measured while the engine
//! works, at intervals that grow with what there is to measure; the bound of one file (`LimitFSIZE=`) is the kernel's.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Order;
use crate::config::Size;
use crate::disk::measure::{Usage, usage};
use crate::engine::EngineError;
use crate::quantity;

/// Between two measurements; ten times as long as one takes, where that is more.
const INTERVAL: Duration = Duration::from_secs(1);
const SHARE: u32 = 10;
/// A job has no use for more files and directories.
const MOST_ENTRIES: u64 = 2_000_000;

const TOO_MUCH: &str = "the job took more than its";

/// Whether an engine was ended for that: it may be the one that has filled the disk.
pub fn is_too_much(error: &EngineError) -> bool {
    error.to_string().starts_with(TOO_MUCH)
}

/// The directories of a job and what they may take together.
pub struct Quota {
    job: PathBuf,
    engine_home: PathBuf,
    most: Size,
    due: Instant,
    measuring: Option<JoinHandle<(Duration, [Usage; 2])>>,
}

impl Quota {
    pub fn new(order: &Order<'_>) -> Quota {
        Quota {
            job: order.dir.to_owned(),
            engine_home: order.input.engine_home.clone(),
            most: order.limits.disk,
            due: Instant::now() + INTERVAL,
            measuring: None,
        }
    }

    /// Why the engine is to be ended, if it is. Takes no time: a measurement goes on in a thread of its own.
    pub async fn passed(&mut self) -> Option<String> {
        match self.measuring.take() {
            Some(measuring) if !measuring.is_finished() => {
                self.measuring = Some(measuring);
                None
            }
            Some(measuring) => {
                let (took, [job, engine_home]) = measuring.await.ok()?;
                self.due = Instant::now() + INTERVAL.max(took * SHARE);
                cause(self.most, job, engine_home)
            }
            None if Instant::now() >= self.due => {
                let (job, engine_home) = (self.job.clone(), self.engine_home.clone());
                self.measuring = Some(tokio::task::spawn_blocking(move || {
                    let began = Instant::now();
                    let both = [job, engine_home].map(|dir| usage(&dir, MOST_ENTRIES));
                    (began.elapsed(), both)
                }));
                None
            }
            None => None,
        }
    }
}

fn cause(most: Size, job: Usage, engine_home: Usage) -> Option<String> {
    if job.bytes.saturating_add(engine_home.bytes) > most.0 {
        return Some(format!(
            "{TOO_MUCH} {most} of disk and was ended: {} for itself, {} for its engine's home; \
             `[job] disk` is the bound, `cicdctl gc` clears the home",
            quantity::bytes(job.bytes),
            quantity::bytes(engine_home.bytes)
        ));
    }
    if job.hidden || engine_home.hidden {
        return Some(
            "the job was ended, as what it took of the disk could not be measured: a directory that cannot be looked \
             into, or millions of files"
                .into(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directories_count_and_what_cannot_be_measured_is_too_much() {
        let usage = |bytes| Usage { bytes, entries: 1, hidden: false };
        let most = Size(100 << 20);
        assert_eq!(cause(most, usage(60 << 20), usage(40 << 20)), None);
        let why = cause(most, usage(61 << 20), usage(40 << 20)).unwrap();
        assert!(why.contains("more than its 100M of disk") && why.contains("64 MB for itself"), "{why}");
        let hidden = Usage { hidden: true, ..usage(0) };
        assert!(cause(most, usage(0), hidden).unwrap().contains("could not be measured"));
    }
}
