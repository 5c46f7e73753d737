//! Which files of a change an engine is to see, and why it does not see the others. Pure.
//!
//! Each file of the change stands in [`Plan::files`] exactly once: seen, excluded by a rule, or missed because the
//! budget is spent. Nothing is cut in the middle: a file is seen whole or not at all.

use std::collections::HashMap;

use crate::diff::{Diff, FileDiff, FileStatus, LineKind};
use crate::globs::Globs;
use crate::quantity;
use crate::review::attributes::Attributes;
use crate::review::paths::PathRules;
use crate::review::{Coverage, FileCoverage};

/// How much diff text an engine may be given, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// For the change as a whole.
    pub max_bytes: usize,
    /// For each file alone.
    pub max_file_bytes: usize,
}

impl Budget {
    pub const UNLIMITED: Budget = Budget { max_bytes: usize::MAX, max_file_bytes: usize::MAX };
}

/// Which files are left out whatever the budget, and what the project's own rules say of them.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    built_in: bool,
    globs: Globs,
    rules: PathRules,
    attributes: Attributes,
}

impl Exclusions {
    /// Nothing is left out, not even a binary file: for an engine that looks for secrets, wherever they are.
    pub fn none() -> Exclusions {
        Exclusions::default()
    }

    /// What is no use to a reader of code, and what `globs` name; see [`Globs::of_paths`].
    pub fn new(globs: &[String]) -> anyhow::Result<Exclusions> {
        Ok(Exclusions { built_in: true, globs: Globs::of_paths(globs)?, ..Exclusions::default() })
    }

    /// Only what `globs` name, as in [`Exclusions::new`].
    pub fn only(globs: &[String]) -> anyhow::Result<Exclusions> {
        Ok(Exclusions { built_in: false, ..Exclusions::new(globs)? })
    }

    /// With what the configuration and the base say of some paths. A rule for a path decides over all else; the base
    /// may say of a file that it is vendored or generated, or that it is not whatever its name looks like.
    pub fn obeying(self, rules: PathRules, attributes: Attributes) -> Exclusions {
        Exclusions { rules, attributes, ..self }
    }

    fn reason(&self, file: &FileDiff) -> Option<String> {
        let binary = || (self.built_in && file.binary && file.unread.is_none()).then(|| "binary".to_owned());
        match self.rules.excluded(&file.path) {
            Some((true, glob)) => return Some(format!("excluded by the rule for `{glob}`")),
            Some((false, _)) => return binary(),
            None => {}
        }
        if let Some(glob) = self.globs.first(&file.path) {
            return Some(format!("excluded by `{glob}`"));
        }
        let marks = self.attributes.marks(&file.path);
        if marks.vendored == Some(true) {
            return Some("vendored (`linguist-vendored`)".to_owned());
        }
        if marks.generated == Some(true) {
            return Some("generated (`linguist-generated`)".to_owned());
        }
        if !self.built_in {
            return None;
        }
        // Who takes lock files for generated (Linguist does) takes them back in the same way.
        let (may_be_vendored, may_be_generated) = (marks.vendored.is_none(), marks.generated.is_none());
        let path = file.path.as_str();
        let vendored = may_be_vendored.then(|| vendored(path)).flatten();
        let generated = || may_be_generated.then(|| lock_file(path).or_else(|| generated_by_name(path))).flatten();
        let marked = || may_be_generated.then(|| generated_by_marker(file)).flatten();
        vendored.or_else(generated).or_else(binary).or_else(marked)
    }
}

/// What an engine is given, and what becomes of each file of the change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The files that the engine is given, in the order of the change.
    pub seen: Diff,
    /// Every path of the change once, in the order of the change.
    pub files: Vec<FileCoverage>,
}

pub fn plan(diff: Diff, budget: &Budget, exclusions: &Exclusions) -> Plan {
    let paths = by_path(diff);
    let mut coverage: Vec<Option<Coverage>> = paths.iter().map(|path| excluded(path, exclusions)).collect();

    let mut waiting: Vec<usize> = (0..paths.len()).filter(|index| coverage[*index].is_none()).collect();
    waiting.sort_by_cached_key(|index| (relevance(&paths[*index]), size(&paths[*index]), *index));
    let mut purse = Purse { budget, left: budget.max_bytes, rules: &exclusions.rules, left_of_rules: HashMap::new() };
    for index in waiting {
        coverage[index] = Some(match unread(&paths[index]) {
            Some(bytes) => Coverage::Missed { reason: format!("too large to be read: {}", quantity::bytes(bytes)) },
            None => purse.spend(&paths[index][0].path, size(&paths[index])),
        });
    }

    let mut plan = Plan { seen: Diff::default(), files: Vec::with_capacity(paths.len()) };
    for (parts, coverage) in paths.into_iter().zip(coverage) {
        let coverage = coverage.expect("each path is excluded or has waited for its share of the budget");
        plan.files.push(FileCoverage { path: parts[0].path.clone(), coverage: coverage.clone() });
        if coverage == Coverage::Seen {
            plan.seen.files.extend(parts);
        }
    }
    plan
}

/// The parts of the diff by path: git prints a file that becomes a symlink as deleted and added, so twice.
fn by_path(diff: Diff) -> Vec<Vec<FileDiff>> {
    let mut paths: Vec<Vec<FileDiff>> = Vec::with_capacity(diff.files.len());
    let mut places: HashMap<String, usize> = HashMap::new();
    for file in diff.files {
        match places.get(&file.path) {
            Some(place) => paths[*place].push(file),
            None => {
                places.insert(file.path.clone(), paths.len());
                paths.push(vec![file]);
            }
        }
    }
    paths
}

/// Left out only where each part of it is.
fn excluded(parts: &[FileDiff], exclusions: &Exclusions) -> Option<Coverage> {
    let reasons: Option<Vec<String>> = parts.iter().map(|part| exclusions.reason(part)).collect();
    let reason = reasons?.into_iter().next()?;
    Some(Coverage::Excluded { reason })
}

/// The size of what nobody could read of it, in bytes.
fn unread(parts: &[FileDiff]) -> Option<u64> {
    parts.iter().filter_map(|part| part.unread).reduce(u64::saturating_add)
}

/// What is left of the budget.
struct Purse<'a> {
    budget: &'a Budget,
    left: usize,
    rules: &'a PathRules,
    /// By the number of the rule.
    left_of_rules: HashMap<usize, usize>,
}

impl Purse<'_> {
    fn spend(&mut self, path: &str, size: usize) -> Coverage {
        let over = |budget: usize, what: &str| {
            let bytes = |number: usize| quantity::bytes(number as u64);
            Coverage::Missed {
                reason: format!("over the budget of {} for {what}: its diff has {}", bytes(budget), bytes(size)),
            }
        };
        if size > self.budget.max_file_bytes {
            return over(self.budget.max_file_bytes, "one file");
        }
        let mut of_rule = self.rules.budget(path).map(|rule| {
            let left = self.left_of_rules.entry(rule.rule).or_insert(rule.max_bytes);
            (rule, left)
        });
        if let Some((rule, left)) = &of_rule
            && size > **left
        {
            return over(rule.max_bytes, &format!("`{}`", rule.glob));
        }
        if size > self.left {
            return over(self.budget.max_bytes, "the change");
        }
        self.left -= size;
        if let Some((_, left)) = &mut of_rule {
            **left -= size;
        }
        Coverage::Seen
    }
}

/// Bytes of diff text; none where there is nothing to read (a pure rename, a change of mode, an empty file).
fn size(parts: &[FileDiff]) -> usize {
    const HEADER: usize = 16;
    let hunk_bytes = |file: &FileDiff| -> usize {
        file.hunks
            .iter()
            .map(|hunk| HEADER + hunk.section.len() + hunk.lines.iter().map(|line| line.text.len() + 2).sum::<usize>())
            .sum()
    };
    parts.iter().filter(|part| !part.hunks.is_empty()).map(|part| HEADER + 2 * part.path.len() + hunk_bytes(part)).sum()
}

/// Who is served first while the budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Relevance {
    Code,
    Test,
    Text,
    Deleted,
}

fn relevance(parts: &[FileDiff]) -> Relevance {
    const TEXT: [&str; 14] =
        ["md", "txt", "rst", "adoc", "svg", "csv", "tsv", "po", "pot", "ipynb", "html", "css", "xml", "jsonl"];
    if parts.iter().all(|part| part.status == FileStatus::Deleted) {
        return Relevance::Deleted;
    }
    let path = parts[0].path.to_ascii_lowercase();
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    if TEXT.contains(&extension) {
        return Relevance::Text;
    }
    let in_tests =
        folders.split('/').any(|folder| matches!(folder, "test" | "tests" | "__tests__" | "spec" | "testdata"));
    if in_tests
        || stem.starts_with("test_")
        || [".test", ".spec", "_test", "_spec"].iter().any(|end| stem.ends_with(end))
    {
        return Relevance::Test;
    }
    Relevance::Code
}

fn vendored(path: &str) -> Option<String> {
    const FOLDERS: [&str; 7] =
        ["vendor", "third_party", "third-party", "thirdparty", "node_modules", "bower_components", "Pods"];
    let (folders, _) = path.rsplit_once('/')?;
    let folder = folders.split('/').find(|folder| FOLDERS.contains(folder))?;
    Some(format!("vendored (`{folder}/`)"))
}

fn lock_file(path: &str) -> Option<String> {
    const NAMES: [&str; 30] = [
        "Cargo.lock",
        "Cartfile.resolved",
        "Gemfile.lock",
        "MODULE.bazel.lock",
        "Package.resolved",
        "Pipfile.lock",
        "Podfile.lock",
        "bun.lock",
        "bun.lockb",
        "composer.lock",
        "conda-lock.yml",
        "deno.lock",
        "flake.lock",
        "go.sum",
        "go.work.sum",
        "gradle.lockfile",
        "mix.lock",
        "npm-shrinkwrap.json",
        "package-lock.json",
        "packages.lock.json",
        "paket.lock",
        "pdm.lock",
        "pixi.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
        "pubspec.lock",
        "stack.yaml.lock",
        "uv.lock",
        "yarn.lock",
        ".terraform.lock.hcl",
    ];
    NAMES.contains(&name(path)).then(|| "lock file".to_owned())
}

fn generated_by_name(path: &str) -> Option<String> {
    const ENDS: [&str; 13] = [
        ".min.js",
        ".min.css",
        ".map",
        ".snap",
        ".pb.go",
        ".pb.cc",
        ".pb.h",
        "_pb2.py",
        "_pb2.pyi",
        "_pb2_grpc.py",
        ".g.dart",
        ".freezed.dart",
        ".designer.cs",
    ];
    let name = name(path).to_ascii_lowercase();
    if let Some(end) = ENDS.iter().find(|end| name.ends_with(**end)) {
        return Some(format!("generated (`*{end}`)"));
    }
    let part = ["_generated.", ".generated."].into_iter().find(|part| name.contains(part))?;
    Some(format!("generated (`*{part}*`)"))
}

/// Marked as generated in its first lines, as far as the diff shows them.
///
/// The mark counts only where it stood before the change: no change may exempt itself from being read by adding it.
fn generated_by_marker(file: &FileDiff) -> Option<String> {
    const FIRST_LINES: u32 = 10;
    let standing = if file.status == FileStatus::Deleted { LineKind::Removed } else { LineKind::Context };
    file.hunks
        .iter()
        .flat_map(|hunk| &hunk.lines)
        .filter(|line| line.kind == standing && line.old.is_some_and(|number| number <= FIRST_LINES))
        .any(|line| {
            let code_generated =
                line.text.find("Code generated ").is_some_and(|at| line.text[at..].contains("DO NOT EDIT"));
            code_generated || line.text.contains("@generated")
        })
        .then(|| "generated (says so in its first lines)".to_owned())
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::review::sample::{added, binary, deleted, diff, file, renamed};

    fn standard() -> Exclusions {
        Exclusions::new(&[]).unwrap()
    }

    fn shown(plan: &Plan) -> Vec<String> {
        plan.files
            .iter()
            .map(|file| match &file.coverage {
                Coverage::Seen => format!("{}: seen", file.path),
                Coverage::Known { job } => format!("{}: known from {job}", file.path),
                Coverage::Excluded { reason } => format!("{}: {reason}", file.path),
                Coverage::Missed { reason } => format!("{}: missed, {reason}", file.path),
            })
            .collect()
    }

    fn reason(path: &str) -> String {
        let plan = plan(diff(vec![added(path, &["+x"])]), &Budget::UNLIMITED, &standard());
        match &plan.files[0].coverage {
            Coverage::Excluded { reason } => reason.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn what_no_one_reads_is_excluded_with_a_reason() {
        for (path, expected) in [
            ("Cargo.lock", "lock file"),
            ("app/package-lock.json", "lock file"),
            ("go.sum", "lock file"),
            ("vendor/lib/a.c", "vendored (`vendor/`)"),
            ("web/node_modules/x/index.js", "vendored (`node_modules/`)"),
            ("web/app.min.js", "generated (`*.min.js`)"),
            ("api/v1/api.pb.go", "generated (`*.pb.go`)"),
            ("src/schema_generated.rs", "generated (`*_generated.*`)"),
            ("tests/__snapshots__/a.snap", "generated (`*.snap`)"),
        ] {
            assert_eq!(reason(path), expected, "{path}");
        }
    }

    #[test]
    fn a_likeness_is_not_enough() {
        for path in ["src/vendor.rs", "Cargo.lock.rs", "src/map.rs", "docs/cargo.lock/a.rs", "dist/index.js", "min.js"]
        {
            assert_eq!(reason(path), "Seen", "{path}");
        }
    }

    #[test]
    fn a_generated_file_says_so_in_its_first_lines() {
        let go = file("mock.go", &[(1, &[" // Code generated by MockGen. DO NOT EDIT.", "-a", "+b"])]);
        let deep = file("deep.go", &[(40, &[" // @generated", "-a", "+b"])]);
        let gone = deleted("gone.js", &["-/** @generated */", "-x"]);
        let plan = plan(diff(vec![go, deep, gone]), &Budget::UNLIMITED, &standard());
        assert_eq!(
            shown(&plan),
            [
                "mock.go: generated (says so in its first lines)",
                "deep.go: seen",
                "gone.js: generated (says so in its first lines)",
            ]
        );
    }

    #[test]
    fn a_change_cannot_exempt_itself() {
        let new = added("evil.rs", &["+// @generated", "+steal();"]);
        let marked = file("old.rs", &[(1, &["+// Code generated by hand. DO NOT EDIT.", " fn main() {}"])]);
        let edited = file("edited.rs", &[(1, &["-// @generated", " fn main() {}"])]);
        let plan = plan(diff(vec![new, marked, edited]), &Budget::UNLIMITED, &standard());
        assert_eq!(shown(&plan), ["evil.rs: seen", "old.rs: seen", "edited.rs: seen"]);
    }

    #[test]
    fn globs_are_named_in_the_reason() {
        let globs = ["*.sql", "docs/", "/src/*.rs", "a/**/z"].map(String::from);
        let exclusions = Exclusions::new(&globs).unwrap();
        let paths = ["db/x.sql", "docs/a/b.md", "src/a.rs", "src/b/c.rs", "a/b/c/z", "sub/docs/x.md"];
        let files = paths.iter().map(|path| added(path, &["+x"])).collect();
        assert_eq!(
            shown(&plan(diff(files), &Budget::UNLIMITED, &exclusions)),
            [
                "db/x.sql: excluded by `*.sql`",
                "docs/a/b.md: excluded by `docs/`",
                "src/a.rs: excluded by `/src/*.rs`",
                "src/b/c.rs: seen",
                "a/b/c/z: excluded by `a/**/z`",
                "sub/docs/x.md: seen",
            ]
        );
        let error = Exclusions::new(&["a[".to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), "`a[` is no glob");
    }

    #[test]
    fn the_base_says_what_is_generated_and_what_is_not() {
        let said = [
            ("api/schema.ts", "linguist-generated", "set"),
            ("third/a.c", "linguist-vendored", "true"),
            ("vendor/ours.c", "linguist-vendored", "unset"),
            ("Cargo.lock", "linguist-generated", "false"),
            ("app.min.js", "linguist-generated", "unset"),
            ("mock.go", "linguist-generated", "unset"),
            ("odd.rs", "linguist-generated", "perhaps"),
            ("vendor/x.min.js", "linguist-vendored", "unset"),
            ("logo.png", "linguist-generated", "unset"),
        ];
        let attributes: Attributes = said.iter().map(|line| <[&str; 3]>::from(*line).map(String::from)).collect();
        let exclusions = standard().obeying(PathRules::default(), attributes.clone());
        let mut files: Vec<FileDiff> = said.iter().map(|(path, ..)| added(path, &["+x"])).collect();
        files[5] = file("mock.go", &[(1, &[" // @generated", "+b"])]);
        files[8] = binary("logo.png");
        assert_eq!(
            shown(&plan(diff(files), &Budget::UNLIMITED, &exclusions)),
            [
                "api/schema.ts: generated (`linguist-generated`)",
                "third/a.c: vendored (`linguist-vendored`)",
                "vendor/ours.c: seen",
                "Cargo.lock: seen",
                "app.min.js: seen",
                "mock.go: seen",
                "odd.rs: seen",
                "vendor/x.min.js: generated (`*.min.js`)",
                "logo.png: binary",
            ]
        );
        // What the base says in so many words holds for the rules engine, too.
        let exclusions = Exclusions::only(&[]).unwrap().obeying(PathRules::default(), attributes);
        let plan = plan(diff(vec![added("api/schema.ts", &["+x"])]), &Budget::UNLIMITED, &exclusions);
        assert_eq!(shown(&plan), ["api/schema.ts: generated (`linguist-generated`)"]);
    }

    #[test]
    fn a_rule_for_paths_leaves_out_takes_in_and_has_a_budget() {
        let text = r#"
            [[paths]]
            match = ["gen/", "*.sql"]
            exclude = true
            [[paths]]
            match = ["gen/keep.rs", "vendor/ours/", "*.png"]
            exclude = false
            [[paths]]
            match = ["data/**"]
            max_diff = "200"
        "#;
        let source = crate::config::Source { path: std::path::Path::new("c"), text };
        let rules = PathRules::new(&crate::config::parse_config(&[source]).unwrap().paths).unwrap();
        let exclusions = Exclusions::new(&["keep.rs".into()]).unwrap().obeying(rules, Attributes::default());
        let line = format!("+{}", "x".repeat(100));
        let files = vec![
            added("gen/a.rs", &["+x"]),
            added("gen/keep.rs", &["+x"]),
            added("vendor/ours/a.c", &["+x"]),
            binary("a.png"),
            added("db/a.sql", &["+x"]),
            added("data/a.rs", &[&line]),
            added("data/b.rs", &[&line, "+y"]),
            added("data/c.rs", &["+"]),
        ];
        let plan = plan(diff(files), &Budget { max_bytes: 10_000, max_file_bytes: 10_000 }, &exclusions);
        assert_eq!(
            shown(&plan),
            [
                "gen/a.rs: excluded by the rule for `gen/`",
                "gen/keep.rs: seen",
                "vendor/ours/a.c: seen",
                "a.png: binary",
                "db/a.sql: excluded by the rule for `*.sql`",
                "data/a.rs: missed, over the budget of 200 bytes for `data/**`: its diff has 152 bytes",
                "data/b.rs: missed, over the budget of 200 bytes for `data/**`: its diff has 155 bytes",
                "data/c.rs: seen",
            ]
        );
    }

    #[test]
    fn a_rename_has_nothing_to_read_and_costs_nothing() {
        let budget = Budget { max_bytes: 0, max_file_bytes: 0 };
        let files = vec![renamed("a.rs", "b.rs", &[]), file("mode.sh", &[]), file("c.rs", &[(1, &["+x"])])];
        let plan = plan(diff(files), &budget, &standard());
        assert_eq!(
            shown(&plan),
            [
                "b.rs: seen",
                "mode.sh: seen",
                "c.rs: missed, over the budget of 0 bytes for one file: its diff has 43 bytes",
            ]
        );
        assert_eq!(plan.seen.files.len(), 2);
    }

    #[test]
    fn small_files_of_code_are_served_first() {
        let line = format!("+{}", "x".repeat(300));
        let big = [line.as_str(); 4];
        let budget = Budget { max_bytes: 1000, max_file_bytes: 100_000 };
        let files = vec![
            added("README.md", &["+x"]),
            deleted("old.rs", &["-x"]),
            added("src/big.rs", &big),
            added("src/b.rs", &big[..2]),
            added("tests/a.rs", &[big[0]]),
            added("src/a.rs", &["+x"]),
        ];
        let plan = plan(diff(files), &budget, &standard());
        assert_eq!(
            shown(&plan),
            [
                "README.md: seen",
                "old.rs: seen",
                "src/big.rs: missed, over the budget of 1 kB for the change: its diff has 1.3 kB",
                "src/b.rs: seen",
                "tests/a.rs: missed, over the budget of 1 kB for the change: its diff has 354 bytes",
                "src/a.rs: seen",
            ]
        );
        let order: Vec<&str> = plan.seen.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(order, ["README.md", "old.rs", "src/b.rs", "src/a.rs"]);
    }

    #[test]
    fn the_rules_engine_sees_everything() {
        let files = vec![binary("logo.png"), added("Cargo.lock", &["+x"]), added("vendor/a.c", &["+x"])];
        let all = diff(files);
        let plan = plan(all.clone(), &Budget::UNLIMITED, &Exclusions::none());
        assert!(plan.files.iter().all(|file| file.coverage == Coverage::Seen));
        assert_eq!(plan.seen, all);
    }

    #[test]
    fn what_was_not_read_is_missed_unless_nobody_reads_it_anyway() {
        let unread = |file: FileDiff| FileDiff { unread: Some(60_000_000), ..file };
        let marked = file("mock.go", &[(1, &[" // Code generated by MockGen. DO NOT EDIT."])]);
        let files = vec![
            unread(added("big.sql", &["+x"])),
            unread(binary("text.csv")),
            unread(added("Cargo.lock", &["+x"])),
            unread(marked),
        ];
        let plan = plan(diff(files), &Budget::UNLIMITED, &standard());
        assert_eq!(
            shown(&plan),
            [
                "big.sql: missed, too large to be read: 60 MB",
                "text.csv: missed, too large to be read: 60 MB",
                "Cargo.lock: lock file",
                "mock.go: generated (says so in its first lines)",
            ]
        );
        assert!(plan.seen.files.is_empty());
    }

    #[test]
    fn a_file_that_became_a_symlink_is_one_file() {
        let files = vec![deleted("a", &["-x"]), added("b", &["+x"]), added("a", &["+target"])];
        let plan = plan(diff(files), &Budget::UNLIMITED, &standard());
        assert_eq!(shown(&plan), ["a: seen", "b: seen"]);
        assert_eq!(plan.seen.files.len(), 3);
    }

    #[test]
    fn a_binary_part_hides_no_text() {
        let gone = FileDiff { status: FileStatus::Deleted, ..binary("a") };
        let plan = plan(diff(vec![gone, added("a", &["+x"]), binary("b")]), &Budget::UNLIMITED, &standard());
        assert_eq!(shown(&plan), ["a: seen", "b: binary"]);
    }

    proptest! {
        #[test]
        fn every_path_is_accounted_for_once(
            files in prop::collection::vec(("[ab]/[ab]{1,2}\\.(rs|md|snap)", 0usize..200, any::<bool>()), 0..12),
            max_bytes in 0usize..1500,
            max_file_bytes in 0usize..200,
        ) {
            let made: Vec<FileDiff> = files
                .iter()
                .map(|(path, size, is_binary)| match is_binary {
                    true => binary(path),
                    false => added(path, &[&format!("+{}", "x".repeat(*size))]),
                })
                .collect();
            let plan = plan(diff(made.clone()), &Budget { max_bytes, max_file_bytes }, &standard());
            let mut paths: Vec<&str> = files.iter().map(|(path, ..)| path.as_str()).collect();
            paths.sort_unstable();
            paths.dedup();
            let mut accounted: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
            accounted.sort_unstable();
            prop_assert_eq!(paths, accounted);
            for file in &plan.files {
                let given = plan.seen.files.iter().filter(|seen| seen.path == file.path).count();
                let parts = made.iter().filter(|part| part.path == file.path).count();
                prop_assert_eq!(given, if file.coverage == Coverage::Seen { parts } else { 0 });
            }
            prop_assert!(size(&plan.seen.files) <= max_bytes);
        }
    }
}
