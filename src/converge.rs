//! From configuration to running units: files that should be → plan → question → files → reload. Shared by `init`,
//! `apply` and the agent commands.

use anyhow::{Result, bail};

use crate::cli::Changing;
use crate::config::{Agent, Config};
use crate::error::Fail;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::Manager;
use crate::timer;
use crate::unit::plan::{Authorship, Plan};
use crate::unit::{self, dir};

/// One of us at a time: two commands that change units at once would each undo half of the other's work.
pub fn lock(host: &Host) -> Result<std::fs::File> {
    files::make_dir(&host.paths.state_dir, 0o700)?;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(host.paths.state_dir.join(".cicdctl.lock"))?;
    if file.try_lock().is_err() {
        host.ui.say("waiting for another cicdctl to end …");
        file.lock()?;
    }
    Ok(file)
}

/// The same at the very first command, which notes the state directory before it makes it.
pub fn lock_noted(host: &Host, manifest: &mut Manifest) -> Result<std::fs::File> {
    if !host.paths.state_dir.exists() {
        // The manifest has no place yet: whoever is killed between the two finds the note in the runtime directory.
        manifest.note_directory(&host.paths.state_dir);
        files::write(&host.paths.first_note(), &serde_json::to_vec(manifest)?, 0o600)?;
    }
    manifest.save(&host.paths.manifest())?;
    files::remove(&host.paths.first_note())?;
    lock(host)
}

/// What the unit files need.
pub fn plan(host: &Host, config: &Config, agents: &[Agent], force: bool) -> Result<Plan> {
    let places = host.places()?;
    Ok(Plan::new(unit::files(config, agents, &places)?, &dir::present(&places)?, force))
}

/// Whether a command asks before it changes something, and what a bare Enter means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The command's own words say it all.
    None,
    Yes,
    /// Something would be lost.
    No,
}

/// Shows the plan and asks; `false` where nothing may be done.
pub fn agreed(host: &Host, plan: &Plan, also: &[String], changing: Changing, question: Question) -> Result<bool> {
    for (path, authorship) in plan.kept() {
        let what = match authorship {
            Authorship::Edited => "was edited by hand and is left as it is",
            _ => "was there before cicdctl and is left as it is",
        };
        host.ui.warn(&format!(
            "`{}` {what}; `cicdctl apply --force` overwrites it, `cicdctl apply --dry-run` shows the difference",
            path.display()
        ));
    }
    if changing.dry_run {
        let mut text = plan.describe(true);
        for line in also {
            text.push_str(&format!("  {line}\n"));
        }
        host.ui.data(if text.is_empty() { "nothing would change" } else { &text })?;
        return Ok(false);
    }
    if question == Question::None || (plan.is_empty() && also.is_empty()) {
        return Ok(true);
    }
    host.ui.say("This will be done:");
    for line in plan.describe(false).lines() {
        host.ui.say(line);
    }
    for line in also {
        host.ui.say(&format!("  {line}"));
    }
    if !host.ui.confirm("Go on?", question == Question::Yes)? {
        bail!(Fail::new("stopped; nothing was changed"));
    }
    Ok(true)
}

/// Carries a plan out and lets the manager read the units anew.
pub async fn apply(host: &Host, plan: &Plan, manifest: &mut Manifest, manager: &Manager) -> Result<()> {
    if plan.is_empty() {
        return Ok(());
    }
    for change in &plan.changes {
        if let Some(parent) = change.file.path.parent() {
            manifest.note_directory(parent);
        }
    }
    if timer::is_made(plan) {
        manifest.note_directory(&timer::stamp_dir(host));
    }
    manifest.save(&host.paths.manifest())?;
    if timer::is_removed(plan) {
        timer::stop(host, manager).await?;
    }
    dir::apply(plan)?;
    manager.reload().await?;
    if timer::is_made(plan) {
        timer::start(manager).await?;
    }
    host.ui.detail(&format!("wrote {}", crate::quantity::count(plan.changes.len(), "file")));
    Ok(())
}
