//! `cicdctl uninstall`: takes back what init and agent wrote and set, and nothing else.

use anyhow::Result;

use crate::cli::Changing;
use crate::converge;
use crate::error::Exit;
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::{self, Manager, Verb};
use crate::timer;
use crate::unit::plan::{Authorship, authorship};
use crate::unit::{GC_TIMER, PATTERNS, dir};

/// Remove the runner, its agents and their units
///
/// Stops and disables the units, removes the files that cicdctl wrote (never one that was edited by hand), and turns
/// lingering off if cicdctl turned it on. Configuration, reviews and secrets stay, unless `--purge` is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove configuration, secrets, reviews and caches, too
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let paths = &host.paths;
    let manifest = Manifest::load_begun(paths)?;
    let places = host.places()?;
    let present = dir::present(&places)?;
    if manifest.is_none() && present.is_empty() {
        host.ui.say("Nothing to remove: cicdctl is not set up for this user.");
        return Ok(Exit::Done);
    }
    let mut manifest = manifest.unwrap_or_default();
    let (ours, edited): (Vec<_>, Vec<_>) = present
        .into_iter()
        .filter(|(_, text)| authorship(text) != Authorship::Foreign)
        .partition(|(_, text)| args.purge || authorship(text) == Authorship::Ours);
    let mut lines: Vec<String> = vec!["stop and disable the runner, its agents and their jobs".into()];
    lines.extend(ours.iter().map(|(path, _)| format!("remove {}", path.display())));
    lines.extend(manifest.links.iter().map(|path| format!("remove {}", path.display())));
    if manifest.linger {
        lines.push(format!("disable lingering for {} (cicdctl had enabled it)", host.user));
    }
    if args.purge {
        lines.extend(
            [&paths.config_dir, &paths.state_dir, &paths.cache_dir]
                .map(|dir| format!("remove {} with all that is in it", dir.display())),
        );
    }
    for (path, _) in &edited {
        host.ui.warn(&format!("`{}` was edited by hand and is left as it is", path.display()));
    }
    if !converge::agreed(host, &crate::unit::plan::Plan::default(), &lines, args.changing, converge::Question::No)? {
        return Ok(Exit::Done);
    }
    let lock = converge::lock(host)?;
    // Without a manager nothing of ours runs, and enablement is symlinks that go with the files.
    let manager = match host.manager().await {
        Ok(manager) => Some(manager),
        Err(error) => {
            host.ui.warn(&format!("the user manager cannot be reached, so only files are removed: {error:#}"));
            None
        }
    };
    if let Some(manager) = &manager {
        stop_everything(host, manager).await?;
    }
    timer::forget(host)?;
    for (path, _) in &ours {
        files::remove(path)?;
        if let Some(parent) = path.parent().filter(|parent| parent.to_string_lossy().ends_with(".service.d")) {
            files::remove_dir_if_empty(parent);
        }
    }
    remove_leftovers(host)?;
    if let Some(manager) = &manager {
        manager.reload().await?;
    }
    for link in &manifest.links {
        if std::fs::read_link(link).is_ok() {
            files::remove(link)?;
        }
    }
    manifest.links.clear();
    if args.purge {
        files::remove_tree(&paths.config_dir)?;
        files::remove_tree(&paths.cache_dir)?;
    }
    files::remove_dir_if_empty(&paths.runtime_dir.join("cicd-toolkit/agents"));
    files::remove_dir_if_empty(&paths.runtime_dir.join("cicd-toolkit"));
    let linger = std::mem::take(&mut manifest.linger);
    if args.purge {
        drop(lock);
        files::remove_tree(&paths.state_dir)?;
        files::remove(&paths.first_note())?;
        // Innermost first; what somebody else put something into stays.
        for dir in manifest.directories.iter().rev() {
            files::remove_dir_if_empty(dir);
        }
    } else {
        manifest.save(&paths.manifest())?;
    }
    // Last, as the user manager may end with it, and we may be its child.
    if linger && let Err(error) = systemd::set_linger(host.uid, &host.user, false).await {
        host.ui.warn(&crate::error::describe(&error).replacen("error: ", "", 1));
    }
    host.ui.say("Done: the units are gone.");
    if !args.purge {
        host.ui.say(&format!(
            "  kept  {} and {} (`--purge` removes them)",
            paths.config_dir.display(),
            paths.state_dir.display()
        ));
    }
    Ok(Exit::Done)
}

/// Temporary files of a command that was killed while it wrote, in directories that are not ours alone.
fn remove_leftovers(host: &Host) -> Result<()> {
    let paths = &host.paths;
    let mut dirs = vec![paths.unit_dir(), paths.runtime_dir.clone()];
    dirs.extend(paths.environment_file().parent().map(Into::into));
    for name in files::names(&paths.unit_dir())? {
        if name.starts_with("cicd-agent@") && name.ends_with(".service.d") {
            dirs.push(paths.unit_dir().join(name));
        }
    }
    for dir in &dirs {
        files::remove_temporary(dir)?;
    }
    // Empty now where nothing but such a file was in it.
    for dir in
        dirs.iter().filter(|dir| dir.extension().is_some_and(|end| end == "d") && dir.starts_with(paths.unit_dir()))
    {
        files::remove_dir_if_empty(dir);
    }
    Ok(())
}

async fn stop_everything(host: &Host, manager: &Manager) -> Result<()> {
    let loaded = manager.loaded(&PATTERNS).await?;
    // Sockets and timers first, or the next connection would start what is being stopped.
    let starts = |unit: &String| unit.ends_with(".socket") || unit.ends_with(".timer");
    let (sockets, rest): (Vec<String>, Vec<String>) = loaded.into_iter().partition(starts);
    for units in [sockets, rest] {
        for (unit, result) in manager.change(Verb::Stop, &units).await? {
            if let Err(error) = result {
                host.ui.warn(&format!("could not stop `{unit}`, going on: {error:#}"));
            }
            manager.reset_failed(&unit).await;
        }
    }
    let mut enabled = ["cicd-runner.service", "cicd-runner.socket", GC_TIMER].map(str::to_owned).to_vec();
    for name in files::names(&host.paths.agents_dir())? {
        if let Some(name) = name.strip_suffix(".toml").and_then(|name| name.parse::<crate::agent::AgentName>().ok()) {
            enabled.extend([name.service(), name.socket()]);
        }
    }
    for unit in &enabled {
        if manager.is_enabled(unit).await {
            manager.disable(&[unit]).await?;
        }
    }
    Ok(())
}
