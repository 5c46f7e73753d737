//! The timer that starts `cicdctl gc`: on where the configuration wants it, and gone without a trace where it does not.

use std::path::PathBuf;

use anyhow::Result;

use crate::config::Config;
use crate::converge;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::{Manager, Verb};
use crate::unit::plan::{Action, Plan};
use crate::unit::{GC_SERVICE, GC_TIMER};

/// What is said of it beside a plan.
pub const TO_START: &str = "enable and start cicd-gc.timer";

/// Where the user manager notes when a `Persistent=` timer ran last (systemd.timer(5)); it makes the directory, too.
fn stamp(host: &Host) -> PathBuf {
    let data = host.variable("XDG_DATA_HOME").map_or_else(|| host.paths.home.join(".local/share"), PathBuf::from);
    data.join("systemd/timers").join(format!("stamp-{GC_TIMER}"))
}

/// The directory that will be made for it.
pub fn stamp_dir(host: &Host) -> PathBuf {
    let mut dir = stamp(host);
    dir.pop();
    dir
}

/// Whether it is wanted, and does not run or would not after a reboot. One that the user has masked is not.
pub async fn is_due(manager: &Manager, config: &Config) -> bool {
    if config.disk.gc.on_calendar().is_none() {
        return false;
    }
    match manager.state(GC_TIMER).await {
        Ok(state) if state.load == "masked" => false,
        Ok(state) => !(state.is_active() && manager.is_enabled(GC_TIMER).await),
        Err(_) => true,
    }
}

pub async fn start(host: &Host, manifest: &mut Manifest, manager: &Manager) -> Result<()> {
    manifest.note_directory(&stamp_dir(host));
    converge::enable(host, manifest, manager, &[GC_TIMER]).await?;
    manager.change_one(Verb::Start, GC_TIMER).await
}

/// Before its file goes.
pub async fn stop(host: &Host, manager: &Manager) -> Result<()> {
    manager.change_one(Verb::Stop, GC_TIMER).await?;
    manager.change_one(Verb::Stop, GC_SERVICE).await?;
    manager.disable(&[GC_TIMER]).await?;
    forget(host)
}

/// Removes what the manager has noted of it.
pub fn forget(host: &Host) -> Result<()> {
    files::remove(&stamp(host))
}

/// Whether a plan makes it, or takes it away.
pub fn is_made(plan: &Plan) -> bool {
    has(plan, |action| matches!(action, Action::Create))
}

pub fn is_removed(plan: &Plan) -> bool {
    has(plan, |action| matches!(action, Action::Remove { .. }))
}

fn has(plan: &Plan, is_it: impl Fn(&Action) -> bool) -> bool {
    plan.changes.iter().any(|change| change.file.path.ends_with(GC_TIMER) && is_it(&change.action))
}
