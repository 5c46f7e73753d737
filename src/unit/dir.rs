//! The user's unit directory: which files there are ours to look at, and carrying out a plan.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Places;
use super::plan::{Action, Change, Plan};
use crate::agent::AgentName;
use crate::files;

/// The files that cicdctl writes, as far as they are there: path and text.
pub fn present(places: &Places) -> Result<Vec<(PathBuf, String)>> {
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
        if let Some(text) = files::read(&path)? {
            present.push((path, text));
        }
    }
    Ok(present)
}

/// Writes and removes what the plan says, each file whole or not at all.
pub fn apply(plan: &Plan) -> Result<()> {
    for Change { file, action } in &plan.changes {
        match action {
            Action::Create | Action::Update { .. } => {
                if let Some(dir) = file.path.parent() {
                    files::make_dir(dir, 0o755)?;
                }
                files::write(&file.path, file.text.as_bytes(), file.mode)?;
            }
            Action::Remove { .. } => {
                files::remove(&file.path)?;
                remove_empty_dropin_dir(&file.path);
            }
            Action::Keep { .. } => {}
        }
    }
    Ok(())
}

fn remove_empty_dropin_dir(path: &Path) {
    if let Some(dir) = path.parent().filter(|dir| dir.extension().is_some_and(|extension| extension == "d")) {
        // environment.d is not ours to remove here; `uninstall` knows who made it.
        if dir.file_name().is_some_and(|name| name != "environment.d") {
            files::remove_dir_if_empty(dir);
        }
    }
}
