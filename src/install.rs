//! What cicdctl made and set on this host, so that `uninstall` takes back just that. Written before the thing itself
//! is done: a command that was killed half-way is undone as well as one that ended.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::host::Paths;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// Directories that were not there before, outermost first.
    pub directories: Vec<PathBuf>,
    /// Symlinks to this program.
    pub links: Vec<PathBuf>,
    /// Programs that an upgrade has kept beside the installed one.
    pub old_programs: Vec<PathBuf>,
    /// We turned lingering on.
    pub linger: bool,
}

impl Manifest {
    pub fn load(path: &Path) -> Result<Option<Manifest>> {
        match files::read(path)? {
            Some(text) => {
                Ok(Some(serde_json::from_str(&text).with_context(|| format!("could not read `{}`", path.display()))?))
            }
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

    /// Saves it, making its directory and noting that, too.
    pub fn save(&mut self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            self.note_directory(dir);
            files::make_dir(dir, 0o700)?;
        }
        files::write(path, &serde_json::to_vec_pretty(self)?, 0o600)
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
