//! The user's unit directory: which files there are ours to look at, and carrying out a plan.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::plan::{Action, Authorship, Change, Plan, Present, authorship};
use super::{Places, UnitFile, host};
use crate::agent::AgentName;
use crate::files;
use crate::host_wide;

/// The files that cicdctl writes, as far as they are there.
pub fn present(places: &Places) -> Result<Vec<Present>> {
    let mut paths = vec![places.environment_file.clone()];
    for name in files::names(&places.unit_dir)? {
        let path = places.unit_dir.join(&name);
        if name == super::SLICE
            || ["cicd-runner.", "cicd-agent@.", "cicd-gc."].iter().any(|ours| name.starts_with(ours))
        {
            paths.push(path);
        } else if name.ends_with(".service.d") && AgentName::of_unit(name.trim_end_matches(".d")).is_some() {
            paths.push(path.join("50-cicdctl.conf"));
        }
    }
    let mut present = Vec::new();
    for path in paths {
        if path.is_dir() {
            continue;
        }
        if let Some(files::Found { text, link }) = files::look(&path)? {
            let authorship = if link.is_some() { Authorship::Link } else { authorship(&text) };
            present.push(Present { path, text, authorship });
        }
    }
    Ok(present)
}

/// Whether the host has the very same unit for all users.
pub fn is_of_host(file: &UnitFile) -> bool {
    let name = file.path.file_name().filter(|_| file.path.parent().is_some_and(|dir| dir.ends_with("systemd/user")));
    let there = name.and_then(|name| files::read(&Path::new(host_wide::UNIT_DIR).join(name)).ok().flatten());
    there.is_some_and(|there| host::body(&there) == host::body(&file.text))
}

/// Links below the unit directory by which units of ours are enabled. `systemctl disable` does not find those of a unit
/// that has lost its file, and there may be no manager to ask.
pub fn enablements(places: &Places) -> Result<Vec<PathBuf>> {
    let mut links = Vec::new();
    for name in files::names(&places.unit_dir)? {
        let dir = places.unit_dir.join(&name);
        let is_plain = dir.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if !is_plain || !(name.ends_with(".wants") || name.ends_with(".requires")) {
            continue;
        }
        for unit in files::names(&dir)? {
            let link = dir.join(&unit);
            let ours = ["cicd-runner.", "cicd-gc."].iter().any(|name| unit.starts_with(name))
                || AgentName::of_unit(&unit).is_some()
                || is_agent_socket(&unit);
            // What leads elsewhere somebody else has made.
            let target = std::fs::read_link(&link).ok().map(|target| dir.join(target));
            if ours && target.is_some_and(|target| target.starts_with(&places.unit_dir) || is_in_host_dir(&target)) {
                links.push(link);
            }
        }
    }
    Ok(links)
}

/// By whatever name: systemd looks for what is there by way of `/etc/xdg/systemd/user`, too.
fn is_in_host_dir(target: &Path) -> bool {
    let real = |dir: &Path| dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    target.parent().is_some_and(|dir| real(dir) == real(Path::new(host_wide::UNIT_DIR)))
}

fn is_agent_socket(unit: &str) -> bool {
    unit.strip_suffix(".socket").is_some_and(|name| AgentName::of_unit(&format!("{name}.service")).is_some())
}

/// Directories in which only commands write that change units, one at a time.
pub fn shared(places: &Places) -> Result<Vec<PathBuf>> {
    let mut dirs = vec![places.unit_dir.clone()];
    dirs.extend(places.environment_file.parent().map(Path::to_path_buf));
    for name in files::names(&places.unit_dir)? {
        if name.starts_with("cicd-agent@") && name.ends_with(".service.d") {
            dirs.push(places.unit_dir.join(name));
        }
    }
    Ok(dirs)
}

/// Removes what a command left there that was killed.
pub fn sweep(places: &Places) -> Result<()> {
    for dir in shared(places)? {
        files::remove_temporary(&dir)?;
    }
    Ok(())
}

/// Writes and removes what the plan says, each file whole or not at all, and none that is not as it was planned for.
pub fn apply(plan: &Plan) -> Result<()> {
    for Change { file, action } in &plan.changes {
        match action {
            Action::Create => {
                if let Some(dir) = file.path.parent() {
                    files::make_dir(dir, 0o755)?;
                }
                files::create(&file.path, file.text.as_bytes(), file.mode)?;
            }
            Action::Update { old } => files::replace(&file.path, old, file.text.as_bytes(), file.mode)?,
            Action::Remove { old } => {
                files::remove_if(&file.path, old)?;
                remove_empty_dropin_dir(&file.path);
            }
            Action::Keep { .. } => {}
        }
    }
    Ok(())
}

/// The directory of a drop-in that is gone.
pub fn remove_empty_dropin_dir(path: &Path) {
    if let Some(dir) = path.parent().filter(|dir| dir.extension().is_some_and(|extension| extension == "d")) {
        // environment.d is not ours to remove here; `uninstall` knows who made it.
        if dir.file_name().is_some_and(|name| name != "environment.d") {
            files::remove_dir_if_empty(dir);
        }
    }
}
