//! `cicdctl run job`: what runs inside the cage.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{API_KEY, Input, Output, TOLD_TO_STOP, refused};
use crate::cgroup;
use crate::engine::{self, EngineError, Progress, Workplace};
use crate::error::Fail;
use crate::{files, secret};

/// Does the work of one job's engine and leaves its result in `dir`. An engine that fails is a result, too; an error
/// here means that none could be left.
pub async fn run_inside(dir: &Path, credentials: Option<&Path>, api_key_given: Option<String>) -> Result<()> {
    let text = files::read(&dir.join("input.json"))?.context("there is no `input.json`")?;
    let input: Input = serde_json::from_str(&text).context("`input.json` cannot be read")?;
    drop(text);
    let from_file = match credentials {
        Some(credentials) => files::read(&credentials.join(API_KEY.0))?,
        None => None,
    };
    let api_key = match from_file.or(api_key_given).filter(|key| !key.trim().is_empty()) {
        // A file is handed in as it is, and people write files.
        Some(key) => match secret::text::value(API_KEY.0, key.as_bytes()) {
            Ok(key) => Some(key.reveal().to_owned()),
            Err(why) => bail!("the secret `{}` is of no use: {why}", API_KEY.0),
        },
        None => None,
    };
    let workplace = Workplace {
        checkout: dir.join("checkout"),
        scratch: dir.join("scratch"),
        engine_home: input.engine_home.clone(),
        api_key,
    };
    let mut events = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("out/events.jsonl"))?;
    let mut tell = |progress: Progress| {
        if let Ok(mut line) = serde_json::to_vec(&progress) {
            line.push(b'\n');
            // Progress is a courtesy: a full disk shows in the result.
            let _ = events.write_all(&line);
        }
    };
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    // A unit's processes end with it; a child process whose parent is killed has only this.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let told_to_stop = || Fail { exit: TOLD_TO_STOP, ..Fail::new("told to stop") };
    let result = tokio::select! {
        biased;
        // Leaving drops the engine, and with it all that it started.
        _ = term.recv() => bail!(told_to_stop()),
        result = engine::run(&input.spec, &input.bundle, &workplace, &mut tell) => result,
    };
    // Systemd tells all processes of a unit at once: what an engine says that ends by that is no result.
    if result.is_err() && tokio::time::timeout(Duration::from_millis(200), term.recv()).await.is_ok() {
        bail!(told_to_stop());
    }
    let group = cgroup::own().filter(|group| group.contains("/cicd-job-"));
    let result = match (result, group.as_deref().and_then(refused::tasks)) {
        (Ok(mut report), Some(refused)) => {
            report.notes.push(refused);
            Ok(report)
        }
        (Err(error), Some(refused)) => Err(EngineError { cause: format!("{}; {refused}", error.cause), ..error }),
        (result, None) => result,
    };
    let output = Output { result, peak_memory: group.as_deref().and_then(super::memory_peak) };
    files::write(&dir.join("out/result.json"), &serde_json::to_vec(&output)?, 0o600)
}
