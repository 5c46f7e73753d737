//! Skills: what an engine is to look for. A skill is a Markdown file whose head is YAML:
//!
//! ```text
//! ---
//! name: sql-reviewer
//! description: Finds queries that lock whole tables
//! paths: ["*.sql", "migrations/"]
//! min_severity: low
//! categories: [performance, reliability]
//! ---
//! # What to look for …
//! ```
//!
//! Six are embedded; those of the host are read by `host`, and one that has the name of an embedded skill takes its
//! place. None ever comes from a change under review. Pure.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::config::nearest_of;
use crate::error::Fail;
use crate::finding::{Category, Severity};
use crate::globs::Globs;
use crate::plain;

/// Largest file of a skill, in bytes: about 8,000 tokens, which every review with it pays.
pub const MAX_FILE: u64 = 32 << 10;
/// How many skills one review may have.
const MAX_CHOSEN: usize = 16;
const MAX_NAME: usize = 64;
/// Characters, as in other SKILL.md files.
const MAX_DESCRIPTION: usize = 1024;
const MAX_PATHS: usize = 100;

/// What the file of a skill is called that has a directory of its own.
pub const INNER_FILE: &str = "SKILL.md";

const EMBEDDED: [(&str, &str); 6] = [
    ("change-analyzer", include_str!("../templates/skills/change-analyzer.md")),
    ("code-reviewer", include_str!("../templates/skills/code-reviewer.md")),
    ("log-analyzer", include_str!("../templates/skills/log-analyzer.md")),
    ("perf-auditor", include_str!("../templates/skills/perf-auditor.md")),
    ("security-scanner", include_str!("../templates/skills/security-scanner.md")),
    ("test-generator", include_str!("../templates/skills/test-generator.md")),
];

/// A checked skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Skill {
    pub name: String,
    pub description: String,
    /// Globs of the files that it is about, in the dialect of `[review] exclude`; all files where there are none.
    pub paths: Vec<String>,
    /// Its findings below it are left out.
    pub min_severity: Option<Severity>,
    /// What its findings are about; anything where there are none.
    pub categories: Vec<Category>,
    pub instructions: String,
}

/// What is wrong with a skill's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// Line and column, from 1; absent where it is about the file as a whole.
    pub place: Option<(usize, usize)>,
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    fn at(place: (usize, usize), message: impl Into<String>) -> Problem {
        Problem { place: Some(place), message: message.into(), hint: None }
    }

    /// About the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Problem {
        Problem { place: None, message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// As an error of the file at `path`.
    pub fn fail(&self, path: &Path) -> Fail {
        let place = self.place.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"));
        let fail = Fail::configuration(format!("{}{place}: {}", path.display(), self.message));
        match &self.hint {
            Some(hint) => fail.hint(hint),
            None => fail,
        }
    }
}

/// The head of a file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: Spanned<String>,
    description: Spanned<String>,
    #[serde(default)]
    paths: Vec<Spanned<String>>,
    #[serde(default)]
    min_severity: Option<Severity>,
    #[serde(default)]
    categories: Vec<Category>,
}

/// Reads the skill that is to be called `name`; the error is all that is wrong with it, in the order of its lines.
pub fn parse(name: &str, text: &str) -> Result<Skill, Vec<Problem>> {
    if let Err(problem) = check_name(name) {
        return Err(vec![Problem::of_file(problem).hint("the name of a skill is that of its file")]);
    }
    if text.len() as u64 > MAX_FILE {
        return Err(vec![Problem::of_file(format!(
            "it has {} bytes, and a skill has at most {MAX_FILE}: each review with it pays for all of it",
            text.len()
        ))]);
    }
    let mut problems = hidden(text);
    let parts = match split(text) {
        Ok(parts) => parts,
        Err(problem) => {
            problems.push(problem);
            return Err(problems);
        }
    };
    let instructions = parts.body.replace("\r\n", "\n").trim().to_owned();
    if instructions.is_empty() {
        problems.push(Problem::at((parts.body_line, 1), "there are no instructions below the head"));
    }
    let head = match serde_saphyr::from_str::<Head>(parts.head) {
        Ok(head) => head,
        Err(error) => {
            problems.push(of_yaml(&error));
            return Err(sorted(problems));
        }
    };
    problems.extend(head.problems(name));
    if !problems.is_empty() {
        return Err(sorted(problems));
    }
    Ok(Skill {
        name: head.name.value,
        description: head.description.value.trim().to_owned(),
        paths: head.paths.into_iter().map(|path| path.value).collect(),
        min_severity: head.min_severity,
        categories: head.categories,
        instructions,
    })
}

impl Head {
    fn problems(&self, wanted: &str) -> Vec<Problem> {
        let Head { name, description, paths, min_severity: _, categories: _ } = self;
        let mut problems = Vec::new();
        if let Err(problem) = check_name(&name.value) {
            problems.push(Problem::at(place_of(name), problem));
        } else if name.value != wanted {
            problems.push(
                Problem::at(place_of(name), format!("`name` is `{}`, and the file is that of `{wanted}`", name.value))
                    .hint("the name of a skill is that of its file, or of the directory of its SKILL.md"),
            );
        }
        match description.value.trim() {
            "" => problems.push(Problem::at(place_of(description), "`description` is empty")),
            text if text.chars().count() > MAX_DESCRIPTION => problems.push(Problem::at(
                place_of(description),
                format!("`description` has at most {MAX_DESCRIPTION} characters"),
            )),
            _ => {}
        }
        if let Some(path) = paths.get(MAX_PATHS) {
            problems.push(Problem::at(place_of(path), format!("`paths` has at most {MAX_PATHS} globs")));
        }
        for path in paths {
            if path.value.trim().is_empty() {
                problems.push(Problem::at(place_of(path), "an empty glob names no file"));
            } else if let Err(error) = Globs::of_paths(std::slice::from_ref(&path.value)) {
                problems.push(Problem::at(place_of(path), format!("{error:#}")));
            }
        }
        problems
    }
}

/// The place of a value in the file: the head begins on its second line.
fn place_of<T>(value: &Spanned<T>) -> (usize, usize) {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (number(value.referenced.line()).saturating_add(1), number(value.referenced.column()))
}

fn of_yaml(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error::{DuplicateMappingKey, SerdeUnknownField, SerdeUnknownVariant};
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let place = error.location().filter(|at| at.line() > 0);
    let place = place.map_or((1, 1), |at| (number(at.line()).saturating_add(1), number(at.column())));
    let unknown = |what: &str, wrong: &str, expected: &[&str]| {
        let names: Vec<String> = expected.iter().map(|name| format!("`{name}`")).collect();
        let wrong_shown = plain::visible(wrong);
        let problem =
            Problem::at(place, format!("unknown {what} `{wrong_shown}`, expected one of {}", names.join(", ")));
        match nearest_of(wrong, expected.iter().copied()) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem,
        }
    };
    match error.without_snippet() {
        SerdeUnknownField { field, expected, .. } => unknown("field", field, expected),
        SerdeUnknownVariant { variant, expected, .. } => unknown("value", variant, expected),
        DuplicateMappingKey { .. } => Problem::at(place, "this key is there a second time"),
        other => {
            // The library ends its message with the place, counted within the head.
            let message = other.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            Problem::at(place, plain::one_line(message.trim_end_matches([',', ':']), 300))
        }
    }
}

struct Parts<'a> {
    head: &'a str,
    body: &'a str,
    /// Line on which the body begins, from 1.
    body_line: usize,
}

/// Between its first line and the next that is `---` stands the head.
fn split(text: &str) -> Result<Parts<'_>, Problem> {
    let example = "a skill begins with a line `---`, then `name:` and `description:`, then `---`; `cicdctl skill new` \
                   writes one";
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.trim_end() != "---" {
        return Err(Problem::at((1, 1), "there is no head").hint(example));
    }
    let mut end = first.len();
    for (index, line) in lines.enumerate() {
        if line.trim_end() == "---" {
            let head = &text[first.len()..end];
            return Ok(Parts { head, body: &text[end + line.len()..], body_line: index + 3 });
        }
        end += line.len();
    }
    Err(Problem::at((1, 1), "the head has no end").hint(example))
}

/// What cannot be seen could say something else to an engine than it does to whoever reads the file.
fn hidden(text: &str) -> Vec<Problem> {
    const NAMED: usize = 10;
    let lines = text.split('\n').enumerate();
    let found = lines.flat_map(|(index, line)| {
        let line = line.strip_suffix('\r').unwrap_or(line);
        line.chars().enumerate().filter(|(_, c)| *c != '\t' && plain::is_hidden(*c)).map(move |(column, c)| {
            let shown = plain::visible(&c.to_string());
            Problem::at((index + 1, column + 1), format!("there is a character that cannot be seen: `{shown}`"))
                .hint("delete it; an engine reads it, and a person does not")
        })
    });
    found.take(NAMED).collect()
}

fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.place);
    problems
}

/// Says why a text cannot be the name of a skill.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain) && !name.starts_with('-') {
        true => Ok(()),
        false => Err(format!(
            "`{}` cannot be the name of a skill: lower-case letters, digits and `-`, at most {MAX_NAME}",
            name.escape_debug()
        )),
    }
}

/// A file of the host that is to hold a skill.
#[derive(Debug)]
pub struct HostFile {
    pub name: String,
    pub path: PathBuf,
    /// Its text, or why it cannot be had.
    pub text: Result<String, Problem>,
}

/// All skills that there are here, by name.
#[derive(Debug)]
pub struct Catalog {
    entries: BTreeMap<String, Entry>,
}

/// The embedded skills.
impl Default for Catalog {
    fn default() -> Catalog {
        Catalog::new([])
    }
}

/// One of them, good or not.
#[derive(Debug)]
pub struct Entry {
    /// The host's file; absent for one that is embedded.
    pub file: Option<PathBuf>,
    /// An embedded skill of this name is there, and not used.
    pub replaces_embedded: bool,
    /// As it stands in the file; empty where that cannot be read.
    pub text: String,
    pub skill: Result<Skill, Vec<Problem>>,
}

impl Entry {
    /// All that is wrong with it, each as an error of its file.
    pub fn fails(&self, name: &str) -> Vec<Fail> {
        let path = self.file.as_deref().unwrap_or(Path::new(name));
        self.skill.as_ref().err().into_iter().flatten().map(|problem| problem.fail(path)).collect()
    }
}

impl Catalog {
    /// The embedded skills, and above them those of the host: of two files with one name the later one counts.
    pub fn new(files: impl IntoIterator<Item = HostFile>) -> Catalog {
        let embedded = EMBEDDED.into_iter().map(|(name, text)| {
            let skill = parse(name, text);
            (name.to_owned(), Entry { file: None, replaces_embedded: false, text: text.to_owned(), skill })
        });
        let mut entries: BTreeMap<String, Entry> = embedded.collect();
        for HostFile { name, path, text } in files {
            let (text, skill) = match text {
                Ok(text) => {
                    let skill = parse(&name, &text);
                    (text, skill)
                }
                Err(problem) => (String::new(), Err(vec![problem])),
            };
            let replaces_embedded = embedded_text(&name).is_some();
            entries.insert(name, Entry { file: Some(path), replaces_embedded, text, skill });
        }
        Catalog { entries }
    }

    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    pub fn entry(&self, name: &str) -> Result<&Entry> {
        match self.entries.get(name) {
            Some(entry) => Ok(entry),
            None => {
                let hint = match nearest_of(name, self.entries.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`? `cicdctl skill list` shows all"),
                    None => "`cicdctl skill list` shows those there are, `cicdctl skill new` begins one".into(),
                };
                bail!(Fail::configuration(format!("there is no skill `{}`", name.escape_debug())).hint(hint))
            }
        }
    }

    /// The skills of these names, each once; an error where one is not there or has something wrong with it.
    pub fn choose(&self, names: &[String]) -> Result<Vec<Skill>> {
        let mut chosen: Vec<Skill> = Vec::new();
        for name in names {
            let entry = self.entry(name)?;
            match &entry.skill {
                Ok(skill) if chosen.contains(skill) => {}
                Ok(skill) => chosen.push(skill.clone()),
                Err(_) => {
                    let Some(fail) = entry.fails(name).into_iter().next() else { continue };
                    bail!(match fail.hint {
                        Some(_) => fail,
                        None => fail.hint("`cicdctl skill check` shows all that is wrong"),
                    });
                }
            }
        }
        if chosen.len() > MAX_CHOSEN {
            bail!(Fail::configuration(format!(
                "{} skills are chosen, and a review has at most {MAX_CHOSEN}",
                chosen.len()
            )));
        }
        Ok(chosen)
    }
}

/// The text of an embedded skill, as it would stand in a file.
pub fn embedded_text(name: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// What a new skill of that name begins with; checked, it is in order.
pub fn starter(name: &str) -> String {
    include_str!("../templates/skills/starter.md.in").replace("@NAME@", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "---\nname: sql\ndescription: Locks\npaths: [\"*.sql\", migrations/]\nmin_severity: low\n\
                        categories: [performance]\n---\n\n# Look\n\nfor locks\n";

    /// All that is wrong, one a line, as `skill check` prints it.
    fn wrong(text: &str) -> String {
        let problems = parse("sql", text).unwrap_err();
        let texts = problems.iter().map(|problem| {
            let fail = problem.fail(Path::new("sql.md"));
            format!("{fail}{}", fail.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})")))
        });
        texts.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_skill_is_a_head_and_instructions() {
        let skill = parse("sql", GOOD).unwrap();
        let expected = Skill {
            name: "sql".into(),
            description: "Locks".into(),
            paths: vec!["*.sql".into(), "migrations/".into()],
            min_severity: Some(Severity::Low),
            categories: vec![Category::Performance],
            instructions: "# Look\n\nfor locks".into(),
        };
        assert_eq!(skill, expected);
        assert_eq!(parse("sql", &GOOD.replace('\n', "\r\n")).unwrap(), expected);
        let least = parse("sql", "---\nname: sql\ndescription: d\n---\nx\n---\ny").unwrap();
        assert_eq!((least.paths.len(), least.min_severity, least.instructions.as_str()), (0, None, "x\n---\ny"));
    }

    #[test]
    fn what_is_wrong_has_its_place_and_the_nearest_right_name() {
        for (from, to, expected) in [
            (
                "description:",
                "descripton:",
                "sql.md:3:1: unknown field `descripton`, expected one of `name`, `description`, `paths`, \
                 `min_severity`, `categories` (did you mean `description`?)",
            ),
            (
                "min_severity: low",
                "min_severity: hihg",
                "sql.md:5:15: unknown value `hihg`, expected one of `info`, `low`, `medium`, `high`, `critical` (did \
                 you mean `high`?)",
            ),
            (
                "[performance]",
                "[performance, perf]",
                "sql.md:6:27: unknown value `perf`, expected one of `security`, `correctness`, `performance`, \
                 `reliability`, `maintainability`, `testing`, `other`",
            ),
            (
                "name: sql",
                "name: SQL",
                "sql.md:2:7: `SQL` cannot be the name of a skill: lower-case letters, digits and `-`, at most 64",
            ),
            (
                "name: sql",
                "name: other",
                "sql.md:2:7: `name` is `other`, and the file is that of `sql` (the name of a skill is that of its \
                 file, or of the directory of its SKILL.md)",
            ),
            ("Locks", "\"\"", "sql.md:3:14: `description` is empty"),
            ("Locks", "[a]", "sql.md:3:14: expected string scalar"),
            ("name: sql\n", "", "sql.md:5:1: missing field `name`"),
            ("name: sql\n", "name: sql\nname: sql\n", "sql.md:3:1: this key is there a second time"),
            ("# Look\n\nfor locks\n", "", "sql.md:8:1: there are no instructions below the head"),
            ("paths: [", "paths: [\"\", ", "sql.md:4:9: an empty glob names no file"),
        ] {
            assert!(GOOD.contains(from));
            assert_eq!(wrong(&GOOD.replacen(from, to, 1)), expected);
        }
        for (from, to, expected) in [
            ("*.sql", "a{b", "sql.md:4:9: `a{b` is no glob: error parsing glob"),
            ("paths: [", "paths: [[", "sql.md:5:13: "),
            ("[performance]\n---", "[performance]", "sql.md:1:1: the head has no end (a skill begins with"),
            ("---\nname", "name", "sql.md:1:1: there is no head (a skill begins with"),
        ] {
            let all = wrong(&GOOD.replacen(from, to, 1));
            assert!(all.starts_with(expected) && all.lines().count() == 1, "{all}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let text = GOOD
            .replace("name: sql", "name: lqs")
            .replace("*.sql", "a{b")
            .replace("Locks", "Lo\u{200b}cks")
            .replace("# Look\n\nfor locks", "");
        let all = wrong(&text);
        let places: Vec<&str> = all.lines().map(|line| line.split(": ").next().unwrap()).collect();
        assert_eq!(places, ["sql.md:2:7", "sql.md:3:16", "sql.md:4:9", "sql.md:8:1"]);
    }

    #[test]
    fn what_nobody_sees_is_refused() {
        for (c, shown) in [('\u{202e}', "\\u{202e}"), ('\u{e0041}', "\\u{e0041}"), ('\u{1b}', "\\x1b"), ('\0', "\\x00")]
        {
            let all = wrong(&GOOD.replace("for locks", &format!("for{c} locks")));
            assert!(
                all.starts_with(&format!("sql.md:11:4: there is a character that cannot be seen: `{shown}`")),
                "{all}"
            );
        }
        let all = wrong(&format!("\u{feff}{GOOD}"));
        assert!(all.starts_with("sql.md:1:1: there is a character that cannot be seen"), "{all}");
        let all = wrong(&GOOD.replace("for locks", &"\u{200b}".repeat(1000)));
        assert_eq!(all.lines().count(), 10);
        assert!(parse("sql", &GOOD.replace("locks", "locks\tand 👩‍💻")).is_ok());
    }

    #[test]
    fn sizes_are_bounded() {
        let large = format!("{GOOD}{}", "x".repeat(usize::try_from(MAX_FILE).unwrap()));
        assert!(wrong(&large).starts_with("sql.md: it has 32"), "{}", wrong(&large));
        let long = wrong(&GOOD.replace("Locks", &"x".repeat(MAX_DESCRIPTION + 1)));
        assert_eq!(long, "sql.md:3:14: `description` has at most 1024 characters");
        let many = wrong(&GOOD.replace("migrations/]", &format!("{}]", vec!["a"; MAX_PATHS].join(", "))));
        assert!(many.ends_with("`paths` has at most 100 globs"), "{many}");
        assert!(check_name("../x").is_err() && check_name("-x").is_err() && check_name(&"x".repeat(65)).is_err());
    }

    fn file(name: &str, text: &str) -> HostFile {
        HostFile { name: name.into(), path: PathBuf::from(format!("/skills/{name}.md")), text: Ok(text.into()) }
    }

    #[test]
    fn a_skill_of_the_host_takes_the_place_of_an_embedded_one() {
        let own = GOOD.replace("name: sql", "name: perf-auditor");
        let catalog = Catalog::new([file("perf-auditor", &own), file("sql", GOOD)]);
        assert_eq!(catalog.entries().count(), 7);
        let replaced: Vec<&str> =
            catalog.entries().filter(|(_, entry)| entry.replaces_embedded).map(|(name, _)| name).collect();
        assert_eq!(replaced, ["perf-auditor"]);
        let names = ["perf-auditor", "sql", "sql"].map(str::to_owned);
        let chosen = catalog.choose(&names).unwrap();
        assert_eq!(chosen.iter().map(|skill| skill.description.as_str()).collect::<Vec<_>>(), ["Locks", "Locks"]);
    }

    #[test]
    fn what_cannot_be_chosen_is_an_error_and_no_other_skill() {
        let catalog = Catalog::new([file("code-reviewer", "no head"), file("Bad", GOOD)]);
        let error = |name: &str| crate::error::describe(&catalog.choose(&[name.to_owned()]).unwrap_err());
        assert_eq!(
            error("security-scaner"),
            "error: there is no skill `security-scaner`\n  hint: did you mean `security-scanner`? `cicdctl skill list` \
             shows all"
        );
        assert!(error("zzz").contains("`cicdctl skill new` begins one"));
        assert!(error("code-reviewer").starts_with("error: /skills/code-reviewer.md:1:1: there is no head"));
        assert!(error("Bad").starts_with("error: /skills/Bad.md: `Bad` cannot be the name of a skill"));
        let many: Vec<HostFile> =
            (0..17).map(|n| file(&format!("s{n}"), &GOOD.replace("name: sql", &format!("name: s{n}")))).collect();
        let names: Vec<String> = many.iter().map(|file| file.name.clone()).collect();
        let error = Catalog::new(many).choose(&names).unwrap_err();
        assert_eq!(error.to_string(), "17 skills are chosen, and a review has at most 16");
    }

    /// The embedded skills speak to an engine that has also been given templates/prompt/review.txt and its schema. In
    /// backticks they name what stands there and nothing else, so that a name that is not there is found here.
    #[test]
    fn the_embedded_skills_fit_the_prompt_and_the_schema() {
        let prompt = include_str!("../templates/prompt/review.txt");
        let schema = crate::engine::claude::schema();
        let properties = |value: &serde_json::Value| -> Vec<String> {
            value["properties"].as_object().unwrap().keys().cloned().collect()
        };
        let mut fields = properties(&schema);
        fields.extend(properties(&schema["properties"]["findings"]["items"]));
        assert!(
            fields.len() > 8
                && fields.iter().all(|field| field == "incomplete" || prompt.contains(&format!("`{field}`")))
        );

        let not_here = [
            "StructuredOutput",
            "Bash",
            "Write",
            "Edit",
            "run the tests",
            "execute",
            "checkout out",
            "approve",
            "request changes",
            "LGTM",
            "nitpick",
            "style guide",
            "consider ",
            "ignore the",
            "instead of the rules",
        ];
        for (name, text) in EMBEDDED {
            let skill = parse(name, text).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            let body = &skill.instructions;
            let quoted = body.split('`').skip(1).step_by(2);
            for word in quoted {
                assert!(fields.iter().any(|field| field == word), "{name}: `{word}` is no field of the answer");
            }
            for phrase in not_here {
                assert!(!body.contains(phrase), "{name}: {phrase}");
            }
            for section in
                ["# What to look for", "# What counts as evidence", "# What to leave alone", "# How to report"]
            {
                assert!(body.contains(section), "{name}: {section}");
            }
            // Precision first: each of them says that finding nothing is a result.
            let last = body.split("# How to report").nth(1).unwrap();
            assert!(
                ["`findings` is empty", "empty `findings`", "`findings` stays empty", "gets no finding"]
                    .iter()
                    .any(|words| last.contains(words)),
                "{name}"
            );
            // What is said of severities and categories is one of those there are, and one of the skill's own.
            for category in Category::ALL {
                let said =
                    last.contains(&format!("category` is {category}")) || last.contains(&format!("it is {category}"));
                assert!(!said || skill.categories.contains(&category), "{name}: {category}");
            }
            for severity in ["major", "minor", "severe", "warning", "blocker", "error severity"] {
                assert!(!body.contains(severity), "{name}: {severity}");
            }
            assert!(body.lines().all(|line| line.chars().count() <= 125), "{name}");
            assert!(text.len() < 6000, "{name} is paid for by each review: {}", text.len());
        }
    }

    #[test]
    fn the_starter_is_in_order_as_it_is_and_with_its_lines_taken_in() {
        let text = starter("sql");
        assert_eq!(parse("sql", &text).unwrap().name, "sql");
        let taken: String = text
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line)))
            .collect();
        let skill = parse("sql", &taken).unwrap();
        assert_eq!((skill.paths.len(), skill.min_severity), (2, Some(Severity::Low)));
        assert_eq!(skill.categories, [Category::Correctness]);
    }
}
