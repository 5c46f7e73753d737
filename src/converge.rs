//! From configuration to running units: files that should be → plan → question → files → reload. Shared by `init`,
//! `apply` and the agent commands.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cli::Changing;
use crate::config::{Agent, Config};
use crate::error::Fail;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::{Manager, Verb};
use crate::timer;
use crate::unit::plan::{Authorship, Plan};
use crate::unit::{self, dir};

/// How long a command waits for another to end. Stopping a unit takes as long as the reviews in it, at most.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One of us at a time, from the first look at what is there to the last change: two commands that change units at once
/// would each undo half of the other's work. What a command left behind that was killed is swept away.
///
/// It is the runtime directory that is locked: nobody else can look into it, it is there for every command of this
/// user whatever its XDG variables are, and no file has to be made for it, which somebody would have to remove.
pub fn lock(host: &Host) -> Result<std::fs::File> {
    let paths = &host.paths;
    let dir = if paths.runtime_dir.is_dir() { &paths.runtime_dir } else { &paths.home };
    let file = lock_within(dir, LONGEST_WAIT, |text| host.ui.say(text))?;
    if dir == &paths.runtime_dir {
        files::remove_temporary(dir)?;
    }
    dir::sweep(&host.places()?)?;
    for dir in [&paths.config_dir, &paths.agents_dir(), &paths.state_dir] {
        files::remove_abandoned(dir)?;
    }
    Ok(file)
}

pub fn lock_within(dir: &Path, longest: Duration, say: impl Fn(&str)) -> Result<std::fs::File> {
    let file = std::fs::File::open(dir).with_context(|| format!("could not open `{}`", dir.display()))?;
    let began = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("could not lock `{}`", dir.display()));
            }
        }
        let holder = || holder(&file).unwrap_or_else(|| "another cicdctl".into());
        if began.elapsed() > longest {
            bail!(
                Fail::new(format!("{} has been at work for more than {} s", holder(), longest.as_secs()))
                    .hint("it may wait for an answer at another terminal; end it, then run the command again")
            );
        }
        if !told {
            say(&format!("waiting for {} to end …", holder()));
            told = true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Who has the lock, as `/proc/locks` tells it.
fn holder(file: &std::fs::File) -> Option<String> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let pid = locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = fields[..] else { return None };
        // Devices of overlays are not those of `stat`, inodes are.
        (place.rsplit(':').next() == Some(inode.as_str())).then(|| pid.to_owned())
    })?;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = words.split(|byte| *byte == 0).take(3).map(String::from_utf8_lossy).collect();
    Some(format!("`{}` (process {pid})", words.join(" ").trim()))
}

/// That what is about to be written lands in directories of this user, wherever symlinks lead.
pub fn check_places(host: &Host) -> Result<()> {
    let paths = &host.paths;
    let environment = paths.environment_file();
    let dirs = [&paths.unit_dir(), &paths.config_dir, &paths.agents_dir(), &paths.state_dir, &paths.cache_dir];
    for dir in dirs.into_iter().map(PathBuf::as_path).chain(environment.parent()) {
        files::check_owner(dir, host.uid)?;
    }
    Ok(())
}

/// What the unit files need.
pub fn plan(host: &Host, config: &Config, agents: &[Agent], force: bool) -> Result<Plan> {
    let places = host.places()?;
    let mut wanted = unit::files(config, agents, &places)?;
    if places.is_host_wide {
        // The host has them already; whoever wants something else has a unit of their own, which goes before it.
        wanted.retain(|file| !dir::is_of_host(file));
    }
    Ok(Plan::new(wanted, &dir::present(&places)?, force))
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
        let (what, remedy) = match authorship {
            Authorship::Link => ("is a symlink", "`cicdctl apply` writes a file once it is removed"),
            Authorship::Edited => ("was edited by hand", "`cicdctl apply --force` overwrites it"),
            _ => ("was there before cicdctl", "`cicdctl apply --force` overwrites it"),
        };
        host.ui.warn(&format!(
            "`{}` {what} and is left as it is; {remedy}, `cicdctl apply --dry-run` shows the difference",
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

/// Carries a plan out and lets the manager read the units anew; also where an earlier command was killed between the
/// two.
pub async fn apply(host: &Host, plan: &Plan, manifest: &mut Manifest, manager: &Manager) -> Result<()> {
    if plan.is_empty() && !manifest.reload {
        return Ok(());
    }
    check_places(host)?;
    for change in &plan.changes {
        if let Some(parent) = change.file.path.parent() {
            manifest.note_directory(parent);
        }
    }
    note_links(host, manifest);
    if timer::is_made(plan) {
        manifest.note_directory(&timer::stamp_dir(host));
    }
    manifest.reload = true;
    manifest.save(&host.paths.manifest())?;
    if timer::is_removed(plan) {
        timer::stop(host, manager).await?;
    }
    dir::apply(plan)?;
    manager.reload().await?;
    manifest.reload = false;
    manifest.save(&host.paths.manifest())?;
    if timer::is_made(plan) {
        timer::start(host, manifest, manager).await?;
    }
    host.ui.detail(&format!("wrote {}", crate::quantity::count(plan.changes.len(), "file")));
    Ok(())
}

/// Enables units and notes those that were not.
pub async fn enable(host: &Host, manifest: &mut Manifest, manager: &Manager, units: &[&str]) -> Result<()> {
    for unit in units {
        if !manager.is_enabled(unit).await {
            manifest.note_enabled(&[unit]);
        }
    }
    note_links(host, manifest);
    // The links are not known to the manager before another reload.
    manifest.reload = true;
    manifest.save(&host.paths.manifest())?;
    manager.enable(units).await?;
    manifest.reload = false;
    manifest.save(&host.paths.manifest())
}

/// Where systemd makes its links when our units are enabled.
fn note_links(host: &Host, manifest: &mut Manifest) {
    for target in ["default.target", "sockets.target", "timers.target"] {
        manifest.note_directory(&host.paths.unit_dir().join(format!("{target}.wants")));
    }
}

/// Restarts what the manifest says is due, and says how many units that were.
pub async fn restart(host: &Host, manifest: &mut Manifest, manager: &Manager) -> Result<usize> {
    if manifest.restart.is_empty() {
        return Ok(0);
    }
    // What somebody has stopped meanwhile stays stopped.
    let mut due = Vec::new();
    for state in manager.states(&manifest.restart).await? {
        if state.is_active() {
            due.push(state.name);
        }
    }
    for (unit, result) in manager.change(Verb::Restart, &due).await? {
        result.map_err(|error| error.context(format!("could not restart `{unit}`")))?;
        host.ui.detail(&format!("restarted {unit}"));
    }
    manifest.restart.clear();
    manifest.save(&host.paths.manifest())?;
    Ok(due.len())
}

/// What an earlier command has left to do, for the plan that is shown.
pub fn unfinished(manifest: &Manifest) -> Vec<String> {
    let reload =
        manifest.reload.then(|| "let the user manager read its units (an earlier command did not end)".to_owned());
    let restart = manifest.restart.iter().map(|unit| format!("restart {unit} (an earlier command did not end)"));
    reload.into_iter().chain(restart).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn a_second_command_says_whom_it_waits_for_and_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let said = RefCell::new(Vec::new());
        let wait = |longest| lock_within(dir.path(), longest, |text| said.borrow_mut().push(text.to_owned()));
        let first = wait(Duration::ZERO).unwrap();
        let error = wait(Duration::from_millis(120)).unwrap_err();
        assert!(error.to_string().contains("has been at work for more than 0 s"), "{error:#}");
        let pid = format!("(process {})", std::process::id());
        assert!(error.to_string().contains(&pid), "{error:#}");
        assert_eq!(said.borrow().len(), 1);
        drop(first);
        wait(Duration::ZERO).unwrap();
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "a lock leaves nothing");
    }
}
