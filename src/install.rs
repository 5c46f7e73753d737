//! What cicdctl made and set on this host, so that `uninstall` takes back just that. Written before the thing itself
//! is done: a command that was killed half-way is undone as well as one that ended.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::error::Fail;
use crate::files;
use crate::host::Paths;

/// The name of the file that it is kept in.
pub const FILE: &str = "install.json";

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Directories that were not there before, outermost first.
    pub directories: Vec<PathBuf>,
    /// Symlinks to this program.
    pub links: Vec<PathBuf>,
    /// Programs that an upgrade has kept beside the installed one.
    pub old_programs: Vec<PathBuf>,
    /// Units that were not enabled before.
    pub enabled: Vec<String>,
    /// We turned lingering on.
    pub linger: bool,
    /// Files were, or are about to be, changed that the user manager has not read yet.
    pub reload: bool,
    /// Running units that go on with what their files said before.
    pub restart: Vec<String>,
    /// Of a host that is set up for all its users: those that were set up with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
}

impl Manifest {
    pub fn load(path: &Path) -> Result<Option<Manifest>> {
        match files::read(path)? {
            Some(text) => Ok(Some(serde_json::from_str(&text).with_context(|| {
                Fail::new(format!("could not read `{}`", path.display())).hint(
                    "remove it; `cicdctl init` begins a new one, which knows nothing of directories, link and \
                           lingering that were made before",
                )
            })?)),
            None => Ok(None),
        }
    }

    /// The manifest, or what an `init` noted that was killed before it could save one.
    pub fn load_begun(paths: &Paths) -> Result<Option<Manifest>> {
        match Manifest::load(&paths.manifest())? {
            None => Manifest::load(&paths.first_note()),
            found => Ok(found),
        }
    }

    /// Saves the very first one, which notes the directory that it is to be in before that is made: who is killed
    /// between the two finds the note in the runtime directory.
    pub fn begin(&mut self, paths: &Paths) -> Result<()> {
        if !paths.state_dir.exists() {
            self.note_directory(&paths.state_dir);
            files::write(&paths.first_note(), &serde_json::to_vec(self)?, 0o600)?;
        }
        self.save(&paths.manifest())?;
        files::remove(&paths.first_note())
    }

    /// Saves it, making its directory and noting that, too.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            self.note_directory(dir);
            files::make_dir(dir, 0o700)?;
        }
        files::write(path, &serde_json::to_vec_pretty(self)?, 0o600)
    }

    pub fn note_enabled(&mut self, units: &[impl AsRef<str>]) {
        for unit in units.iter().map(AsRef::as_ref) {
            if !self.enabled.iter().any(|noted| noted == unit) {
                self.enabled.push(unit.to_owned());
            }
        }
    }

    pub fn note_link(&mut self, link: &Path) {
        if !self.links.iter().any(|noted| noted == link) {
            self.links.push(link.to_path_buf());
        }
    }

    /// Notes what will have to be made for `dir` to exist.
    pub fn note_directory(&mut self, dir: &Path) {
        for missing in files::missing_dirs(dir) {
            if !self.directories.contains(&missing) {
                self.directories.push(missing);
            }
        }
    }
}
