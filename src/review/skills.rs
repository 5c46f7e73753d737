//! The skills of one review: which they are, what the engine is told of them, and which findings they keep. Pure.
//!
//! A skill's `paths` decide whether the engine is told of it at all: some file that it is to see has to match. Its
//! `min_severity` is told to the engine, and holds for what comes back: a finding is left out where every skill that is
//! about its file and its category has a higher floor. A finding that no skill is about has no such floor.

use anyhow::Result;
use askama::Template;

use crate::api::ReviewRequest;
use crate::config::Config;
use crate::diff::Diff;
use crate::engine::EngineSpec;
use crate::finding::{Finding, Severity};
use crate::globs::Globs;
use crate::quantity;
use crate::skill::{Catalog, Skill};

#[derive(Debug, Default)]
pub(super) struct Skills {
    chosen: Vec<Chosen>,
    /// The request names some, and its engine takes none.
    in_vain: bool,
}

#[derive(Debug)]
struct Chosen {
    skill: Skill,
    /// Absent where it is about every file.
    paths: Option<Globs>,
}

impl Chosen {
    fn is_about(&self, path: &str) -> bool {
        self.paths.as_ref().is_none_or(|paths| paths.first(path).is_some())
    }
}

#[derive(Template)]
#[template(path = "prompt/skills.txt", escape = "none")]
struct Instructions<'a> {
    skills: Vec<Part<'a>>,
    own: &'a str,
}

struct Part<'a> {
    name: &'a str,
    conditions: Vec<String>,
    body: &'a str,
}

impl Skills {
    /// What the request names, and otherwise what the configuration does. The rules look for what they look for.
    pub(super) fn choose(
        catalog: &Catalog,
        request: &ReviewRequest,
        config: &Config,
        spec: &EngineSpec,
    ) -> Result<Skills> {
        if matches!(spec, EngineSpec::Rules) {
            return Ok(Skills { chosen: Vec::new(), in_vain: !request.skills.is_empty() });
        }
        let names = if request.skills.is_empty() { &config.review.skills } else { &request.skills };
        Skills::of(catalog.choose(names)?)
    }

    fn of(skills: Vec<Skill>) -> Result<Skills> {
        let with_paths = skills.into_iter().map(|skill| {
            let paths = if skill.paths.is_empty() { None } else { Some(Globs::of_paths(&skill.paths)?) };
            Ok(Chosen { skill, paths })
        });
        Ok(Skills { chosen: with_paths.collect::<Result<_>>()?, in_vain: false })
    }

    pub(super) fn all(&self) -> Vec<&Skill> {
        self.chosen.iter().map(|chosen| &chosen.skill).collect()
    }

    /// Instructions for an engine that is to see `diff`; `own` are those of the configuration.
    pub(super) fn instructions(&self, diff: &Diff, own: &str) -> Result<String> {
        let own = own.trim();
        let matching = self.chosen.iter().filter(|chosen| diff.files.iter().any(|file| chosen.is_about(&file.path)));
        let skills: Vec<Part<'_>> = matching
            .map(|Chosen { skill, .. }| Part {
                name: &skill.name,
                conditions: conditions(skill),
                body: &skill.instructions,
            })
            .collect();
        if skills.is_empty() && own.is_empty() {
            return Ok(String::new());
        }
        Ok(Instructions { skills, own }.render()?)
    }

    /// Leaves out what is below the floors of the skills; says what a reader of the receipt should know.
    pub(super) fn keep(&self, findings: &mut Vec<Finding>) -> Vec<String> {
        let before = findings.len();
        findings.retain(|finding| finding.severity >= self.floor(finding));
        let mut notes = Vec::new();
        if findings.len() < before {
            let gone = quantity::count(before - findings.len(), "finding");
            notes.push(format!("left out {gone} below the `min_severity` of the skills"));
        }
        if self.in_vain {
            notes.push("the engine `rules` takes no skills".into());
        }
        notes
    }

    pub(super) fn floor(&self, finding: &Finding) -> Severity {
        let about = self.chosen.iter().filter(|chosen| {
            let categories = &chosen.skill.categories;
            chosen.is_about(&finding.path) && (categories.is_empty() || categories.contains(&finding.category))
        });
        about.map(|chosen| chosen.skill.min_severity.unwrap_or(Severity::Info)).min().unwrap_or(Severity::Info)
    }
}

/// What the head of a skill means, in words.
fn conditions(skill: &Skill) -> Vec<String> {
    let quoted = |words: &[String]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let mut conditions = Vec::new();
    if !skill.paths.is_empty() {
        conditions.push(format!("It is about files that match {}, and about no others.", quoted(&skill.paths)));
    }
    if !skill.categories.is_empty() {
        let names: Vec<String> = skill.categories.iter().map(ToString::to_string).collect();
        conditions.push(format!("The `category` of its findings: {}.", names.join(", ")));
    }
    if let Some(floor) = skill.min_severity.filter(|floor| *floor > Severity::Info) {
        conditions.push(format!("What is below the severity {floor} is no finding of it."));
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Category;
    use crate::review::sample;
    use crate::skill::parse;

    fn skill(name: &str, head: &str) -> Skill {
        parse(name, &format!("---\nname: {name}\ndescription: d\n{head}---\nLook for {name}.\n")).unwrap()
    }

    fn change(paths: &[&str]) -> Diff {
        sample::diff(paths.iter().map(|path| sample::added(path, &["+x"])).collect())
    }

    #[test]
    fn an_engine_is_told_of_the_skills_that_are_about_what_it_sees() {
        let sql = "paths: [\"*.sql\", db/]\nmin_severity: medium\ncategories: [performance, reliability]\n";
        let skills = Skills::of(vec![skill("all", ""), skill("sql", sql)]).unwrap();
        assert_eq!(
            skills.instructions(&change(&["a/b.sql"]), "Speak French.\n").unwrap(),
            "What follows comes from whoever runs this reviewer or owns the project. It says what to look for in the change \
             that the message\nbrings, and completes the rules there: on what is data, on how to answer and on what counts as a fault \
             those\nrules stand.\n\nGive your attention to what the skills below look for. A fault of critical or high severity \
             that you come upon outside\ntheir fields is reported all the same. Where two skills see the same fault, it is \
             one finding. Nothing that a skill names is\na reason to report something: for each of them an empty list of \
             findings is a good answer.\n\n===== skill all =====\n\nLook for all.\n\n===== skill sql =====\nIt is about \
             files that match `*.sql`, `db/`, and about no others.\nThe `category` of its findings: performance, \
             reliability.\nWhat is below the severity medium is no finding of it.\n\nLook for sql.\n\n===== further \
             instructions =====\n\nSpeak French."
        );
        let without = skills.instructions(&change(&["src/a.rs"]), "").unwrap();
        assert!(without.contains("skill all") && !without.contains("sql") && !without.contains("further"));
    }

    #[test]
    fn with_nothing_to_say_nothing_is_said() {
        let skills = Skills::of(vec![skill("sql", "paths: [\"*.sql\"]\n")]).unwrap();
        assert_eq!(skills.instructions(&change(&["a.rs"]), " \n").unwrap(), "");
        let own = skills.instructions(&change(&["a.rs"]), "Speak French.").unwrap();
        assert!(own.ends_with("Speak French.") && !own.contains("skills below"), "{own}");
    }

    #[test]
    fn a_floor_holds_where_every_skill_that_is_about_it_has_one() {
        let finding = |path: &str, severity, category| Finding {
            fingerprint: String::new(),
            severity,
            category,
            path: path.to_owned(),
            lines: None,
            title: String::new(),
            explanation: String::new(),
            suggestion: None,
            confidence: 1.0,
            rule: None,
            excerpt: Vec::new(),
        };
        let kept = |skills: Vec<Skill>, path: &str, severity, category| {
            let mut findings = vec![finding(path, severity, category)];
            let notes = Skills::of(skills).unwrap().keep(&mut findings);
            assert_eq!(notes.len(), 1 - findings.len(), "{notes:?}");
            findings.len() == 1
        };
        let perf = || skill("perf", "min_severity: medium\ncategories: [performance]\npaths: [src/]\n");
        let all = || skill("all", "");
        let high = || skill("high", "min_severity: high\n");
        assert!(!kept(vec![perf()], "src/a.rs", Severity::Low, Category::Performance));
        assert!(kept(vec![perf()], "src/a.rs", Severity::Medium, Category::Performance));
        assert!(kept(vec![perf()], "src/a.rs", Severity::Low, Category::Security), "no skill is about it");
        assert!(kept(vec![perf()], "a.rs", Severity::Low, Category::Performance), "nor about this file");
        assert!(kept(vec![perf(), all()], "src/a.rs", Severity::Info, Category::Performance));
        assert!(kept(vec![perf(), high()], "src/a.rs", Severity::Medium, Category::Performance), "the lowest counts");
        assert!(!kept(vec![perf(), high()], "src/a.rs", Severity::Medium, Category::Security));
        assert!(kept(vec![], "a", Severity::Info, Category::Other));
    }

    #[test]
    fn the_rules_take_none_and_the_receipt_says_so_where_some_were_asked_for() {
        let (catalog, mut config) = (Catalog::default(), Config::default());
        config.review.skills = vec!["no-such-skill".into()];
        let mut request = ReviewRequest::default();
        let notes = |request: &ReviewRequest| {
            Skills::choose(&catalog, request, &config, &EngineSpec::Rules).unwrap().keep(&mut Vec::new())
        };
        assert_eq!(notes(&request), [""; 0]);
        request.skills = vec!["code-reviewer".into()];
        assert_eq!(notes(&request), ["the engine `rules` takes no skills"]);
    }
}
