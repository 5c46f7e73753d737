//! The verdicts of the last probes, in a file of the state directory: `status` shows them as long as they are about the
//! same properties, systemd, program and boot.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::{Exceeded, Standing};
use crate::files;
use crate::host::Host;

/// Under what a verdict was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Under {
    pub boot: String,
    pub systemd: String,
    pub version: String,
}

impl Under {
    pub fn now(systemd: &str) -> Under {
        // Where it cannot be read no verdict survives a reboot less: the version of systemd alone has to do.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Under { boot: boot.trim().into(), systemd: systemd.into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    under: Under,
    /// By the digest of the properties.
    standings: BTreeMap<String, Standing>,
    limits: Option<Exceeded>,
}

impl Memory {
    /// What is still true; nothing where the file is of another time, or of another program.
    pub fn load(host: &Host, under: Under) -> Memory {
        let text = files::read(&file(host)).ok().flatten();
        let found = text.and_then(|text| serde_json::from_str::<Memory>(&text).ok());
        found.filter(|memory| memory.under == under).unwrap_or_else(|| Memory {
            under,
            standings: BTreeMap::new(),
            limits: None,
        })
    }

    pub fn standing(&self, digest: &str) -> Option<&Standing> {
        self.standings.get(digest)
    }

    pub fn limits(&self) -> Option<Exceeded> {
        self.limits
    }

    pub fn note(&mut self, digest: String, standing: Standing) {
        self.standings.insert(digest, standing);
    }

    pub fn note_limits(&mut self, exceeded: Exceeded) {
        self.limits = Some(exceeded);
    }

    /// Nothing is written where nothing is set up: a look at a host leaves no trace.
    pub fn save(&self, host: &Host) -> Result<()> {
        if !host.paths.state_dir.is_dir() {
            return Ok(());
        }
        files::write(&file(host), &serde_json::to_vec(self)?, 0o600)
    }
}

fn file(host: &Host) -> PathBuf {
    host.paths.state_dir.join("probe.json")
}
