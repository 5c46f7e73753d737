//! A cage outlives the process that began it. What it was begun for is noted beside it, so that the next process that
//! takes up the job knows its own work again: then it goes on with that engine, or takes the result it has left, and
//! pays nothing twice.

use std::io::{self, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::budget::Held;
use super::{Run, Stopped, jobdir};
use crate::engine::{Bundle, EngineSpec};
use crate::files;
use crate::store::now_ms;
use crate::task::off_the_loop;

/// The note's name in the job's directory; what is in that directory the engine can read and not write.
const NOTE: &str = "cage.json";

/// What a cage was begun for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    /// Names the engine and all that it was given; what only bounds it is no part of that.
    work: String,
    /// How often the job had been put off by then: "try again later" is an answer once only.
    turn: u32,
    /// The job's last event before the engine's first.
    seq: u64,
    /// Milliseconds since 1970.
    begun_ms: i64,
    /// What is set aside for it.
    pub(super) held: Option<Held>,
}

impl Run<'_> {
    /// The cage that an earlier process has begun for this very work, if there is one to go on with. Any other is ended,
    /// and what it has left goes.
    pub(super) async fn begun_before(&mut self, spec: &EngineSpec, bundle: &Bundle) -> Result<Option<Note>, Stopped> {
        let Some(note) = self.left.clone() else { return Ok(None) };
        let is_same = note.turn == self.setting.turn && note.work == work(spec, bundle)?;
        let job = &self.review.job;
        if is_same
            && self.setting.cage.is_left(job, &self.dir).await.map_err(|error| Stopped::Lost(format!("{error:#}")))?
        {
            self.left = None;
            return Ok(Some(note));
        }
        tracing::info!(
            CICD_JOB = %job,
            "job {job}: {}, so its engine begins anew",
            if is_same { "nothing is left of its cage" } else { "its cage was for something else" }
        );
        self.end_left().await?;
        Ok(None)
    }

    /// Ends the cage that an earlier process has begun and nobody goes on with.
    pub(super) async fn end_left(&mut self) -> Result<()> {
        if self.left.take().is_some() {
            self.setting.cage.end(&self.review.job).await;
            let dir = self.dir.clone();
            off_the_loop(move || jobdir::clear(&dir)).await??;
        }
        Ok(())
    }

    /// Notes what a cage is begun for, before it is.
    pub(super) async fn begins(&mut self, spec: &EngineSpec, bundle: &Bundle, held: Option<Held>) -> Result<()> {
        let seq = match self.setting.store {
            Some(store) => store.last_event(&self.review.job).await?,
            None => 0,
        };
        let note = Note { work: work(spec, bundle)?, turn: self.setting.turn, seq, begun_ms: now_ms(), held };
        files::write(&self.dir.join(NOTE), &serde_json::to_vec(&note)?, 0o600)
    }

    /// How many events of its engine an earlier process has told.
    pub(super) async fn told(&mut self, note: &Note) -> Result<usize> {
        match self.setting.store {
            Some(store) => store.engine_events(&self.review.job, note.seq).await,
            None => Ok(0),
        }
    }
}

impl Note {
    /// `None` where there is no cage in this directory, or one of a version whose notes we cannot read.
    pub(super) fn read(dir: &Path) -> Result<Option<Note>> {
        let Some(text) = files::read(&dir.join(NOTE))? else { return Ok(None) };
        match serde_json::from_str(&text) {
            Ok(note) => Ok(Some(note)),
            Err(error) => {
                tracing::warn!("`{}` cannot be read, so its cage ends: {error}", dir.join(NOTE).display());
                Ok(Some(Note { work: String::new(), turn: 0, seq: 0, begun_ms: 0, held: None }))
            }
        }
    }

    /// How long the engine has worked, in milliseconds: until it left its result, where it has.
    pub(super) fn age_ms(&self, dir: &Path) -> u64 {
        let ended = std::fs::symlink_metadata(dir.join("out/result.json")).and_then(|meta| meta.modified()).ok();
        let ended = ended.and_then(|time| i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok());
        u64::try_from(ended.unwrap_or_else(now_ms) - self.begun_ms).unwrap_or(0)
    }
}

/// Whether an engine was begun in this directory.
pub(super) fn is_there(dir: &Path) -> bool {
    dir.join(NOTE).exists()
}

/// Whether an engine was begun in this directory and had not left its result yet when somebody looked.
pub(super) fn is_open(dir: &Path) -> bool {
    is_there(dir) && !dir.join("out/result.json").exists()
}

fn work(spec: &EngineSpec, bundle: &Bundle) -> Result<String> {
    let mut hash = Hash(Sha256::new());
    serde_json::to_writer(&mut hash, &(spec.without_bounds(), bundle)).context("could not name the engine's work")?;
    Ok(hex::encode(&hash.0.finalize()[..16]))
}

struct Hash(Sha256);

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
