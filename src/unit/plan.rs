//! What should be against what is there: a plan that can be shown, tested and thrown away. Pure.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::UnitFile;
use crate::secret::environment::masked;

const MARK: &str = "# cicdctl-digest: ";

/// Puts the header before a generated text: who wrote it, what changes it, and a digest of all that follows, by which
/// a hand edit is noticed.
pub fn with_header(text: &str, command: &str) -> String {
    let body = format!("{}\n", text.trim_end_matches('\n'));
    format!(
        "# Written by cicdctl; `{command}` rewrites it from the configuration.\n\
         # For settings of your own make a drop-in beside it; an edit here is noticed and kept.\n\
         {MARK}{}\n\n{body}",
        digest(&body)
    )
}

/// Whose a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorship {
    /// As cicdctl wrote it.
    Ours,
    /// Written by cicdctl, edited since.
    Edited,
    Foreign,
    /// A symlink, which somebody else has made: cicdctl writes only files. Neither followed nor replaced.
    Link,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub path: PathBuf,
    pub text: String,
    pub authorship: Authorship,
}

pub fn authorship(text: &str) -> Authorship {
    let Some((_, rest)) = text.split_once(MARK) else { return Authorship::Foreign };
    let Some((wanted, body)) = rest.split_once("\n\n") else { return Authorship::Edited };
    if wanted == digest(body) { Authorship::Ours } else { Authorship::Edited }
}

fn digest(body: &str) -> String {
    hex::encode(&Sha256::digest(body.as_bytes())[..16])
}

/// What one file needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Create,
    /// Ours and unedited: brought up to date.
    Update {
        old: String,
    },
    Remove {
        old: String,
    },
    /// Edited by hand or not ours: left as it is unless forced.
    Keep {
        old: String,
        authorship: Authorship,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub file: UnitFile,
    pub action: Action,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub changes: Vec<Change>,
}

impl Plan {
    /// Compares the files that should be with those that are there; `present` also holds files of ours that should
    /// not be there any more.
    pub fn new(wanted: Vec<UnitFile>, present: &[Present], force: bool) -> Plan {
        let mut changes = Vec::new();
        for Present { path, text: old, authorship } in present {
            if wanted.iter().any(|file| file.path == *path) {
                continue;
            }
            let file = UnitFile { path: path.clone(), text: String::new(), mode: 0o644 };
            match authorship {
                Authorship::Foreign | Authorship::Link => {}
                Authorship::Edited if !force => {
                    let action = Action::Keep { old: old.clone(), authorship: Authorship::Edited };
                    changes.push(Change { file, action });
                }
                _ => changes.push(Change { file, action: Action::Remove { old: old.clone() } }),
            }
        }
        for file in wanted {
            let action = match present.iter().find(|there| there.path == file.path) {
                None => Action::Create,
                Some(Present { text, .. }) if *text == file.text => continue,
                Some(Present { text, authorship, .. }) => {
                    let (old, authorship) = (text.clone(), *authorship);
                    match authorship {
                        Authorship::Link => Action::Keep { old, authorship },
                        Authorship::Ours => Action::Update { old },
                        _ if force => Action::Update { old },
                        _ => Action::Keep { old, authorship },
                    }
                }
            };
            changes.push(Change { file, action });
        }
        Plan { changes }
    }

    /// Nothing would be written or removed.
    pub fn is_empty(&self) -> bool {
        self.changed() == 0
    }

    /// How many files would be written or removed.
    pub fn changed(&self) -> usize {
        self.changes.iter().filter(|change| !matches!(change.action, Action::Keep { .. })).count()
    }

    /// Files that were edited by hand, or that were there before us.
    pub fn kept(&self) -> impl Iterator<Item = (&Path, Authorship)> {
        self.changes.iter().filter_map(|change| match &change.action {
            Action::Keep { authorship, .. } => Some((change.file.path.as_path(), *authorship)),
            _ => None,
        })
    }

    /// A line for each file, with a diff below what exists already when `diffs` is set.
    pub fn describe(&self, diffs: bool) -> String {
        let mut text = String::new();
        for Change { file, action } in &self.changes {
            let path = file.path.display();
            let (verb, old, new) = match action {
                Action::Create => ("create", "", file.text.as_str()),
                Action::Update { old } => ("update", old.as_str(), file.text.as_str()),
                Action::Remove { old } => ("remove", old.as_str(), ""),
                Action::Keep { old, authorship: Authorship::Edited } => {
                    ("keep (edited)", old.as_str(), file.text.as_str())
                }
                Action::Keep { old, authorship: Authorship::Link } => {
                    ("keep (a symlink)", old.as_str(), file.text.as_str())
                }
                Action::Keep { old, .. } => ("keep (not ours)", old.as_str(), file.text.as_str()),
            };
            text.push_str(&format!("  {verb} {path}\n"));
            if diffs {
                let is_environment = file.path.parent().is_some_and(|dir| dir.ends_with("environment.d"));
                let shown = |text| if is_environment { masked(text) } else { text.to_owned() };
                let (old, new) = (shown(old), shown(new));
                let diff = similar::TextDiff::from_lines(&old, &new);
                for line in diff.unified_diff().context_radius(2).to_string().lines() {
                    text.push_str(&format!("      {line}\n"));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> UnitFile {
        UnitFile { path: path.into(), text: with_header(text, "cicdctl apply"), mode: 0o644 }
    }

    fn there(path: &Path, text: &str) -> Present {
        Present { path: path.into(), text: text.into(), authorship: authorship(text) }
    }

    #[test]
    fn a_symlink_is_kept_even_if_forced() {
        let wanted = file("/u/a.service", "[Service]\n");
        let link = Present { authorship: Authorship::Link, ..there(&wanted.path, "[Service]\nNice=5\n") };
        let plan = Plan::new(vec![wanted.clone()], std::slice::from_ref(&link), true);
        assert!(plan.is_empty());
        assert_eq!(plan.kept().next(), Some((wanted.path.as_path(), Authorship::Link)));
        assert_eq!(Plan::new(Vec::new(), &[link], true), Plan::default());
        // One that leads to the text that it should have does no harm.
        let link = Present { authorship: Authorship::Link, ..there(&wanted.path, &wanted.text) };
        assert_eq!(Plan::new(vec![wanted], &[link], false), Plan::default());
    }

    #[test]
    fn a_second_run_has_nothing_to_do() {
        let wanted = file("/u/a.service", "[Service]\n");
        let present = [there(&wanted.path, &wanted.text)];
        assert_eq!(Plan::new(vec![wanted], &present, false), Plan::default());
    }

    #[test]
    fn what_is_ours_is_updated_and_what_was_edited_is_kept_unless_forced() {
        let old = file("/u/a.service", "[Service]\nRestart=no\n").text;
        let wanted = file("/u/a.service", "[Service]\nRestart=always\n");
        let plan = Plan::new(vec![wanted.clone()], &[there(&wanted.path, &old)], false);
        assert_eq!(plan.changes[0].action, Action::Update { old: old.clone() });

        let edited = format!("{old}Nice=5\n");
        assert_eq!(authorship(&edited), Authorship::Edited);
        let plan = Plan::new(vec![wanted.clone()], &[there(&wanted.path, &edited)], false);
        assert!(plan.is_empty());
        assert_eq!(plan.kept().count(), 1);
        assert!(plan.describe(true).contains("keep (edited) /u/a.service"), "{}", plan.describe(true));
        assert!(plan.describe(true).contains("-Nice=5"));
        assert!(!Plan::new(vec![wanted.clone()], &[there(&wanted.path, &edited)], true).is_empty());
    }

    #[test]
    fn a_file_of_somebody_else_is_neither_overwritten_nor_removed() {
        let wanted = file("/u/a.service", "[Service]\n");
        let foreign = "[Service]\nExecStart=/bin/true\n".to_owned();
        let plan = Plan::new(vec![wanted.clone()], &[there(&wanted.path, &foreign)], false);
        assert_eq!(plan.kept().next().map(|(_, whose)| whose), Some(Authorship::Foreign));
        assert_eq!(Plan::new(Vec::new(), &[there(&wanted.path, &foreign)], true), Plan::default());
    }

    #[test]
    fn what_is_no_longer_wanted_is_removed() {
        let gone = file("/u/cicd-agent@x.service.d/50-cicdctl.conf", "[Service]\n");
        let plan = Plan::new(Vec::new(), &[there(&gone.path, &gone.text)], false);
        assert_eq!(plan.changes[0].action, Action::Remove { old: gone.text });
    }
}
