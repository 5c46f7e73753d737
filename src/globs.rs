//! Globs as configuration files have them, for paths and for names of branches. Pure.

use std::fmt;
use std::str::FromStr;

use anyhow::Context;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Deserializer, Serialize};

/// Longest glob, in bytes, and how deep its braces may lie in each other. Who compiles a glob goes down a level of the
/// stack for each, and a repository may write globs.
const MAX_GLOB: usize = 1000;
const MAX_DEPTH: usize = 16;

/// Whether a text is small enough to be looked at as a glob.
pub fn check_size(text: &str) -> Result<(), String> {
    if text.len() > MAX_GLOB {
        return Err(format!("a glob has at most {MAX_GLOB} bytes, and this one has {}", text.len()));
    }
    let depths = text.chars().scan(0usize, |depth, c| {
        match c {
            '{' => *depth += 1,
            '}' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    if depths.max() > Some(MAX_DEPTH) {
        return Err(format!("its braces lie in each other more than {MAX_DEPTH} deep"));
    }
    Ok(())
}

/// The text of a glob that can be compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Glob(String);

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a glob of no letters matches nothing".into());
        }
        check_size(text)?;
        match globset::Glob::new(text) {
            Ok(_) => Ok(Glob(text.to_owned())),
            Err(error) => Err(format!("`{text}` is no glob: {}", error.kind())),
        }
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Glob {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Several globs, ready to be compared with.
#[derive(Debug, Clone, Default)]
pub struct Globs {
    set: GlobSet,
    /// As they were written, in the order of `set`.
    written: Vec<String>,
}

impl Globs {
    /// Globs of paths.
    ///
    /// One without `/` is compared with the file name, one with `/` with the whole path; `*` does not match a `/`,
    /// `**` does; a glob that ends in `/` names all that is below.
    pub fn of_paths(globs: &[impl AsRef<str>]) -> anyhow::Result<Globs> {
        Globs::compile(globs, |written| {
            let mut pattern = written.strip_prefix('/').unwrap_or(written).to_owned();
            if pattern.ends_with('/') {
                pattern.push_str("**");
            }
            if !written.contains('/') {
                pattern.insert_str(0, "**/");
            }
            pattern
        })
    }

    /// Globs of names of branches, always compared with the whole of it; `*` does not match a `/`, `**` does.
    pub fn of_branches(globs: &[impl AsRef<str>]) -> anyhow::Result<Globs> {
        Globs::compile(globs, str::to_owned)
    }

    fn compile(globs: &[impl AsRef<str>], pattern: impl Fn(&str) -> String) -> anyhow::Result<Globs> {
        let mut set = GlobSetBuilder::new();
        for written in globs.iter().map(AsRef::as_ref) {
            let shown = || {
                let begin: String = written.chars().take(60).collect();
                let dots = if begin.len() < written.len() { "…" } else { "" };
                format!("`{begin}{dots}` is no glob")
            };
            check_size(written).map_err(anyhow::Error::msg).with_context(shown)?;
            let glob = GlobBuilder::new(&pattern(written)).literal_separator(true).build();
            set.add(glob.with_context(shown)?);
        }
        let written = globs.iter().map(|glob| glob.as_ref().to_owned()).collect();
        Ok(Globs { set: set.build().context("could not compile the globs")?, written })
    }

    /// The first that matches, as it was written.
    pub fn first(&self, text: &str) -> Option<&str> {
        self.set.matches(text).first().map(|index| self.written[*index].as_str())
    }

    /// As they were written.
    pub fn written(&self) -> &[String] {
        &self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_of_paths_without_a_slash_is_of_file_names() {
        let globs = Globs::of_paths(&["*.sql", "docs/", "/src/*.rs", "a/**/z"]).unwrap();
        for (path, first) in [
            ("db/x.sql", Some("*.sql")),
            ("docs/a/b.md", Some("docs/")),
            ("sub/docs/x.md", None),
            ("src/a.rs", Some("/src/*.rs")),
            ("src/b/c.rs", None),
            ("a/b/c/z", Some("a/**/z")),
        ] {
            assert_eq!(globs.first(path), first, "{path}");
        }
    }

    #[test]
    fn a_glob_of_branches_is_of_whole_names() {
        let globs = Globs::of_branches(&["main", "release/*"]).unwrap();
        for (branch, matches) in
            [("main", true), ("fork/main", false), ("release/1.2", true), ("release/1/2", false), ("maine", false)]
        {
            assert_eq!(globs.first(branch).is_some(), matches, "{branch}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        assert_eq!("a[".parse::<Glob>().unwrap_err(), "`a[` is no glob: unclosed character class; missing ']'");
        assert!("".parse::<Glob>().is_err());
        assert_eq!(Globs::of_paths(&["a["]).unwrap_err().to_string(), "`a[` is no glob");
        let deep = "{".repeat(17);
        assert!(deep.parse::<Glob>().unwrap_err().contains("more than 16 deep"));
        assert!(format!("{:#}", Globs::of_paths(&[deep]).unwrap_err()).contains("more than 16 deep"));
        let long = "a".repeat(1001);
        assert!(long.parse::<Glob>().unwrap_err().contains("at most 1000 bytes"));
        assert!(Globs::of_branches(&[long]).unwrap_err().to_string().len() < 100);
    }
}
