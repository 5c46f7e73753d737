//! `[[paths]]`: what holds for some files of a change. Pure.

use anyhow::Result;

use crate::config::PathRule;
use crate::diff::Diff;
use crate::finding::Severity;
use crate::globs::Globs;

/// The rules in their order, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct PathRules(Vec<(Globs, PathRule)>);

/// How much of the files of one rule may be given to an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleBudget<'a> {
    /// Which rule it is of.
    pub rule: usize,
    pub max_bytes: usize,
    /// The glob that matched.
    pub glob: &'a str,
}

impl PathRules {
    pub fn new(rules: &[PathRule]) -> Result<PathRules> {
        rules.iter().map(|rule| Ok((Globs::of_paths(&rule.globs)?, rule.clone()))).collect::<Result<_>>().map(PathRules)
    }

    /// For an engine that costs nothing.
    pub fn without_budgets(mut self) -> PathRules {
        for (_, rule) in &mut self.0 {
            rule.max_diff = None;
        }
        self
    }

    /// Whether a rule leaves the file out or takes it in, and by which glob.
    pub fn excluded(&self, path: &str) -> Option<(bool, &str)> {
        self.last(path, |rule| rule.exclude).map(|(_, glob, exclude)| (exclude, glob))
    }

    /// The least severity of findings in the file.
    pub fn floor(&self, path: &str) -> Option<Severity> {
        self.last(path, |rule| rule.min_severity).map(|(_, _, floor)| floor)
    }

    pub fn budget(&self, path: &str) -> Option<RuleBudget<'_>> {
        let (rule, glob, max) = self.last(path, |rule| rule.max_diff)?;
        Some(RuleBudget { rule, max_bytes: usize::try_from(max.0).unwrap_or(usize::MAX), glob })
    }

    /// The general instructions, and those of each rule that matches a file which the engine sees.
    pub fn instructions(&self, general: &str, seen: &Diff) -> String {
        let mut parts = vec![general.trim().to_owned()];
        for (globs, rule) in &self.0 {
            let text = rule.instructions.as_deref().unwrap_or_default().trim();
            if !text.is_empty() && seen.files.iter().any(|file| globs.first(&file.path).is_some()) {
                let written: Vec<String> = globs.written().iter().map(|glob| format!("`{glob}`")).collect();
                parts.push(format!("For files that match {}:\n{text}", written.join(" or ")));
            }
        }
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }

    /// What the last rule that matches and says something says, with its number and its glob.
    fn last<T>(&self, path: &str, said: impl Fn(&PathRule) -> Option<T>) -> Option<(usize, &str, T)> {
        self.0.iter().enumerate().rev().find_map(|(number, (globs, rule))| {
            let said = said(rule)?;
            Some((number, globs.first(path)?, said))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, parse_config};
    use crate::review::sample::{added, diff};

    fn rules(text: &str) -> PathRules {
        let source = Source { path: std::path::Path::new("config.toml"), text };
        PathRules::new(&parse_config(&[source]).unwrap().paths).unwrap()
    }

    #[test]
    fn the_last_rule_that_says_something_holds() {
        let rules = rules(
            r#"
            [[paths]]
            match = ["src/", "*.py"]
            min_severity = "medium"
            exclude = true
            [[paths]]
            match = ["src/api/**"]
            min_severity = "low"
            max_diff = "1K"
            [[paths]]
            match = ["src/api/keep.rs"]
            exclude = false
            "#,
        );
        let said = |path: &str| {
            let budget = rules.budget(path).map(|budget| (budget.rule, budget.max_bytes, budget.glob));
            (rules.excluded(path), rules.floor(path), budget)
        };
        assert_eq!(said("README.md"), (None, None, None));
        assert_eq!(said("a/b.py"), (Some((true, "*.py")), Some(Severity::Medium), None));
        let budget = Some((1, 1024, "src/api/**"));
        assert_eq!(said("src/api/a.rs"), (Some((true, "src/")), Some(Severity::Low), budget));
        assert_eq!(said("src/api/keep.rs"), (Some((false, "src/api/keep.rs")), Some(Severity::Low), budget));
        assert_eq!(rules.clone().without_budgets().budget("src/api/a.rs"), None);
    }

    #[test]
    fn instructions_are_those_of_files_that_are_seen() {
        let rules = rules(
            r#"
            [[paths]]
            match = ["*.sql", "db/"]
            instructions = "No table scans.\n"
            [[paths]]
            match = ["web/"]
            instructions = "Check the markup."
            [[paths]]
            match = ["*.sql"]
            instructions = "Name the index."
            "#,
        );
        let given = |general: &str, seen: &[&str]| {
            rules.instructions(general, &diff(seen.iter().map(|path| added(path, &["+x"])).collect()))
        };
        assert_eq!(given("", &["a.rs"]), "");
        assert_eq!(given("Be brief.\n", &["a.rs"]), "Be brief.");
        assert_eq!(
            given("Be brief.", &["a.rs", "x/y.sql"]),
            "Be brief.\n\nFor files that match `*.sql` or `db/`:\nNo table scans.\n\nFor files that match `*.sql`:\nName the index."
        );
        assert_eq!(given("", &["web/a.html"]), "For files that match `web/`:\nCheck the markup.");
    }
}
