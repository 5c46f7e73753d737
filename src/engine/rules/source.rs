//! What the rules see of a file: its language, what it is for, and the lines of its new side, each as a whole and
//! split into code, strings and comments.
//!
//! The split is a guess made from the part of the file that the hunk shows. Where a hunk begins inside a string or a
//! comment that nothing in it betrays, the guess is wrong; rules take that into account by their confidence.

use std::cell::{Cell, OnceCell};

use crate::diff::{FileDiff, Hunk, LineKind};

/// Bytes of a line that rules about code look at; longer lines are minified or data.
pub const CODE_CAP: usize = 10_000;
/// Bytes of a line in which secrets are searched.
pub const SECRET_CAP: usize = 64 * 1024;

/// Neighbours that rules may look at in a file: this many, and so many more for each line.
const LOOKS: usize = 20_000;
const LOOKS_PER_LINE: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    C,
    CSharp,
    Config,
    Css,
    Dockerfile,
    Elixir,
    Go,
    Html,
    Java,
    JavaScript,
    Json,
    Kotlin,
    Make,
    Perl,
    Php,
    Prose,
    Python,
    Ruby,
    Rust,
    Scala,
    Shell,
    Sql,
    Swift,
    Terraform,
    TypeScript,
    Workflow,
    Yaml,
    Other,
}

impl Lang {
    pub const JS: &[Lang] = &[Lang::JavaScript, Lang::TypeScript];
    /// Where shell commands stand as text.
    pub const COMMANDS: &[Lang] = &[Lang::Shell, Lang::Dockerfile, Lang::Make, Lang::Workflow, Lang::Yaml];
    /// Languages that people program in.
    pub const CODE: &[Lang] = &[
        Lang::C,
        Lang::CSharp,
        Lang::Elixir,
        Lang::Go,
        Lang::Java,
        Lang::JavaScript,
        Lang::Kotlin,
        Lang::Perl,
        Lang::Php,
        Lang::Python,
        Lang::Ruby,
        Lang::Rust,
        Lang::Scala,
        Lang::Shell,
        Lang::Sql,
        Lang::Swift,
        Lang::TypeScript,
    ];

    fn of(path: &str) -> Lang {
        let name = path.rsplit('/').next().unwrap_or(path);
        let lower = name.to_ascii_lowercase();
        if lower == "dockerfile" || lower.starts_with("dockerfile.") || lower.ends_with(".dockerfile") {
            return Lang::Dockerfile;
        }
        let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
        let yaml = matches!(extension, "yml" | "yaml");
        if yaml && (path.contains(".github/workflows/") || matches!(lower.as_str(), "action.yml" | "action.yaml")) {
            return Lang::Workflow;
        }
        match lower.as_str() {
            "containerfile" => return Lang::Dockerfile,
            "makefile" | "gnumakefile" | "justfile" => return Lang::Make,
            "gemfile" | "rakefile" | "vagrantfile" => return Lang::Ruby,
            ".bashrc" | ".profile" | ".zshrc" | ".envrc" => return Lang::Shell,
            ".gitconfig" | ".npmrc" | ".curlrc" | ".wgetrc" => return Lang::Config,
            name if name == ".env" || name.starts_with(".env.") => return Lang::Config,
            _ => {}
        }
        match extension {
            "c" | "h" | "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" | "m" | "mm" => Lang::C,
            "cs" => Lang::CSharp,
            "ini" | "cfg" | "conf" | "properties" | "toml" | "env" | "service" => Lang::Config,
            "css" | "scss" | "less" => Lang::Css,
            "ex" | "exs" => Lang::Elixir,
            "go" => Lang::Go,
            "html" | "htm" | "xml" | "svg" | "vue" | "svelte" => Lang::Html,
            "java" | "groovy" | "gradle" => Lang::Java,
            "js" | "jsx" | "mjs" | "cjs" => Lang::JavaScript,
            "json" | "jsonc" | "json5" | "ipynb" => Lang::Json,
            "kt" | "kts" => Lang::Kotlin,
            "mk" | "mak" => Lang::Make,
            "pl" | "pm" => Lang::Perl,
            "php" | "phtml" => Lang::Php,
            "md" | "mdx" | "markdown" | "rst" | "adoc" | "asciidoc" | "txt" | "org" | "tex" => Lang::Prose,
            "py" | "pyi" | "pyw" => Lang::Python,
            "rb" | "rake" | "gemspec" => Lang::Ruby,
            "rs" => Lang::Rust,
            "scala" | "sc" => Lang::Scala,
            "sh" | "bash" | "zsh" | "ksh" | "bats" => Lang::Shell,
            "sql" => Lang::Sql,
            "swift" => Lang::Swift,
            "tf" | "tfvars" | "hcl" => Lang::Terraform,
            "ts" | "tsx" | "mts" | "cts" => Lang::TypeScript,
            "yml" | "yaml" => Lang::Yaml,
            _ => Lang::Other,
        }
    }

    /// The language a script names in its first line.
    fn of_shebang(line: &str) -> Option<Lang> {
        let command = line.strip_prefix("#!")?;
        let program = command.split_whitespace().find(|word| !word.ends_with("/env") && !word.starts_with('-'))?;
        let program = program.rsplit('/').next().unwrap_or(program);
        [
            ("python", Lang::Python),
            ("ruby", Lang::Ruby),
            ("perl", Lang::Perl),
            ("php", Lang::Php),
            ("node", Lang::JavaScript),
            ("make", Lang::Make),
            ("sh", Lang::Shell),
            ("bash", Lang::Shell),
            ("dash", Lang::Shell),
            ("ksh", Lang::Shell),
            ("zsh", Lang::Shell),
        ]
        .into_iter()
        .find(|(name, _)| program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') == *name)
        .map(|(_, lang)| lang)
    }
}

/// A file of the diff as the rules see it.
pub struct Subject<'a> {
    pub file: &'a FileDiff,
    pub lang: Lang,
    /// Tests, fixtures, mocks.
    pub test: bool,
    /// Prose, or an example.
    pub doc: bool,
    /// Written by a machine, or somebody else's code.
    pub generated: bool,
    pub lock: bool,
    /// Line from which on the file holds tests, as Rust files often do.
    pub tests_from: Option<u32>,
    pub sides: Vec<Side<'a>>,
    /// How many neighbours of lines may still be looked at, so that hostile files cost linear time.
    looks: Cell<usize>,
}

/// The new side of a hunk.
pub struct Side<'a> {
    pub lines: Vec<SourceLine<'a>>,
    lang: Lang,
    /// In which state the split begins on each line.
    states: OnceCell<Vec<State>>,
}

pub struct SourceLine<'a> {
    pub number: u32,
    pub added: bool,
    /// All of it but a carriage return at its end.
    pub text: &'a str,
}

impl<'a> Subject<'a> {
    pub fn new(file: &'a FileDiff) -> Subject<'a> {
        let path = file.path.to_ascii_lowercase();
        let name = path.rsplit('/').next().unwrap_or(&path);
        let mut lang = Lang::of(&file.path);
        let first = file.hunks.first().and_then(|hunk| hunk.lines.iter().find(|line| line.new == Some(1)));
        if lang == Lang::Other
            && let Some(named) = first.and_then(|line| Lang::of_shebang(&line.text))
        {
            lang = named;
        }
        let lock = is_lock(name);
        let sides: Vec<Side<'a>> = file.hunks.iter().map(|hunk| Side::new(hunk, lang)).collect();
        let tests_from = (lang == Lang::Rust).then(|| {
            let mut lines = sides.iter().flat_map(|side| &side.lines);
            lines.find(|line| opens_tests(line.text)).map(|line| line.number)
        });
        Subject {
            file,
            lang,
            test: is_test(&path, name),
            doc: lang == Lang::Prose || is_doc(&path, name),
            generated: lock || is_generated(&path, name),
            lock,
            tests_from: tests_from.flatten(),
            looks: Cell::new(LOOKS + LOOKS_PER_LINE * sides.iter().map(|side| side.lines.len()).sum::<usize>()),
            sides,
        }
    }

    pub fn path(&self) -> &'a str {
        &self.file.path
    }

    pub fn name(&self) -> &'a str {
        self.path().rsplit('/').next().unwrap_or(self.path())
    }

    /// Takes one look, where there is one left.
    fn look(&self) -> bool {
        let left = self.looks.get();
        self.looks.set(left.saturating_sub(1));
        left > 0
    }

    /// All visible lines of the new file.
    pub fn lines(&self) -> impl Iterator<Item = &SourceLine<'a>> {
        self.sides.iter().flat_map(|side| &side.lines)
    }
}

impl<'a> Side<'a> {
    fn new(hunk: &'a Hunk, lang: Lang) -> Side<'a> {
        let lines = hunk
            .lines
            .iter()
            .filter_map(|line| {
                let text = line.text.strip_suffix('\r').unwrap_or(&line.text);
                Some(SourceLine { number: line.new?, added: line.kind == LineKind::Added, text })
            })
            .collect();
        Side { lines, lang, states: OnceCell::new() }
    }

    fn parts(&self, index: usize) -> Parts {
        let states = self.states.get_or_init(|| {
            let mut states = Vec::with_capacity(self.lines.len());
            let mut state = first_state(&self.lines, self.lang);
            for line in &self.lines {
                states.push(state);
                state = split(cap(line.text, CODE_CAP), self.lang, state, None);
            }
            states
        });
        let mut parts = Parts::default();
        split(cap(self.lines[index].text, CODE_CAP), self.lang, states[index], Some(&mut parts));
        parts
    }
}

/// An added line in its place.
pub struct At<'a> {
    pub subject: &'a Subject<'a>,
    side: &'a Side<'a>,
    index: usize,
    parts: OnceCell<Parts>,
}

impl<'a> At<'a> {
    pub fn new(subject: &'a Subject<'a>, side: &'a Side<'a>, index: usize) -> At<'a> {
        At { subject, side, index, parts: OnceCell::new() }
    }

    pub fn number(&self) -> u32 {
        self.side.lines[self.index].number
    }

    /// Whether the line belongs to a test.
    pub fn in_test(&self) -> bool {
        self.subject.test || self.subject.tests_from.is_some_and(|from| self.number() >= from)
    }

    /// As much of the line as secrets are searched in.
    pub fn long_text(&self) -> &'a str {
        cap(self.side.lines[self.index].text, SECRET_CAP)
    }

    pub fn text(&self) -> &'a str {
        cap(self.side.lines[self.index].text, CODE_CAP)
    }

    fn parts(&self) -> &Parts {
        self.parts.get_or_init(|| self.side.parts(self.index))
    }

    /// The line without comments.
    pub fn code(&self) -> &str {
        &self.parts().code
    }

    /// The line without comments, and strings emptied; as long as `code` up to its end.
    pub fn bare(&self) -> &str {
        &self.parts().bare
    }

    /// What is said in comments.
    pub fn comment(&self) -> &str {
        &self.parts().comment
    }

    /// The lines before this one that the hunk shows, the nearest first.
    pub fn before(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let (subject, side) = (self.subject, self.side);
        (0..self.index).rev().map_while(move |index| subject.look().then(|| At::new(subject, side, index)))
    }

    /// The lines behind this one that the hunk shows.
    pub fn after(&self) -> impl Iterator<Item = At<'a>> + use<'a> {
        let (subject, side) = (self.subject, self.side);
        let indices = self.index + 1..side.lines.len();
        indices.map_while(move |index| subject.look().then(|| At::new(subject, side, index)))
    }

    /// Code of this line and up to `count` lines around it, in order.
    pub fn around(&self, count: usize) -> String {
        let mut lines: Vec<String> = self.before().take(count).map(|at| at.code().to_owned()).collect();
        lines.reverse();
        lines.push(self.code().to_owned());
        lines.extend(self.after().take(count).map(|at| at.code().to_owned()));
        lines.join("\n")
    }
}

fn cap(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// `mod tests {`, by any name that says so.
fn opens_tests(text: &str) -> bool {
    let Some((name, _)) = text.trim_start().strip_prefix("mod ").and_then(|rest| rest.split_once('{')) else {
        return false;
    };
    let name = name.trim();
    matches!(name, "test" | "tests") || name.ends_with("_test") || name.ends_with("_tests")
}

fn is_test(path: &str, name: &str) -> bool {
    let folder = path.split('/').rev().skip(1).any(|part| {
        matches!(
            part,
            "test"
                | "tests"
                | "testing"
                | "testdata"
                | "test-data"
                | "test_data"
                | "__tests__"
                | "spec"
                | "specs"
                | "fixture"
                | "fixtures"
                | "__fixtures__"
                | "mock"
                | "mocks"
                | "__mocks__"
                | "e2e"
                | "cypress"
                | "testutil"
                | "testutils"
                | "__snapshots__"
        ) || part.ends_with("-tests")
            || part.ends_with("_tests")
            || part.ends_with(".tests")
    });
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    folder
        || name.contains(".test.")
        || name.contains(".spec.")
        || name.contains(".e2e.")
        || name.contains(".cy.")
        || name.ends_with(".snap")
        || name.ends_with(".bats")
        || stem == "conftest"
        || stem == "tests"
        || stem == "test"
        || stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem.ends_with("_spec")
        || (matches!(name.rsplit('.').next(), Some("java" | "kt" | "cs" | "swift" | "php" | "scala"))
            && (stem.ends_with("test") || stem.ends_with("tests") || stem.ends_with("spec")))
}

fn is_doc(path: &str, name: &str) -> bool {
    let folder = path.split('/').rev().skip(1).any(|part| {
        matches!(
            part,
            "doc"
                | "docs"
                | "documentation"
                | "example"
                | "examples"
                | "sample"
                | "samples"
                | "demo"
                | "demos"
                | "tutorial"
                | "tutorials"
        )
    });
    folder
        || ["readme", "changelog", "license", "contributing", "security"].iter().any(|start| name.starts_with(start))
        || [".example", ".sample", ".template", ".tmpl", ".dist"].iter().any(|end| name.ends_with(end))
        || name.contains(".example.")
        || name.contains(".sample.")
}

fn is_generated(path: &str, name: &str) -> bool {
    let folder = path.split('/').rev().skip(1).any(|part| {
        matches!(
            part,
            "vendor"
                | "vendored"
                | "node_modules"
                | "third_party"
                | "third-party"
                | "thirdparty"
                | "bower_components"
                | "site-packages"
                | "dist"
                | ".yarn"
        )
    });
    folder
        || name.contains(".min.")
        || name.contains(".generated.")
        || name.contains(".bundle.")
        || name.contains("_pb2")
        || [".map", ".pb.go", ".g.dart", ".designer.cs", ".svg"].iter().any(|end| name.ends_with(end))
}

fn is_lock(name: &str) -> bool {
    name.ends_with(".lock")
        || name.ends_with(".lockb")
        || name.ends_with(".lockfile")
        || matches!(
            name,
            "package-lock.json"
                | "npm-shrinkwrap.json"
                | "pnpm-lock.yaml"
                | "go.sum"
                | "packages.lock.json"
                | "package.resolved"
                | ".terraform.lock.hcl"
        )
}

/// Where the split of a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    /// Inside `/* … */` or `<!-- … -->`.
    Comment,
    /// Inside a string that this ends and that may span lines.
    Text(Quote),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    /// `"` of Rust.
    Double,
    /// `"##` with its hashes.
    Raw(u8),
    /// Three of these.
    Triple(u8),
    Backtick,
}

#[derive(Debug, Default)]
struct Parts {
    code: String,
    bare: String,
    comment: String,
}

struct Syntax {
    line_comments: &'static [&'static str],
    block_comment: Option<(&'static str, &'static str)>,
    quotes: &'static [u8],
    triple: bool,
    backtick: bool,
}

fn syntax(lang: Lang) -> Syntax {
    let c_like = Syntax {
        line_comments: &["//"],
        block_comment: Some(("/*", "*/")),
        quotes: b"\"'",
        triple: false,
        backtick: false,
    };
    let hashed = Syntax { line_comments: &["#"], block_comment: None, quotes: b"\"'", triple: false, backtick: false };
    match lang {
        Lang::C | Lang::CSharp => c_like,
        Lang::Java | Lang::Kotlin | Lang::Scala | Lang::Swift => Syntax { triple: true, ..c_like },
        Lang::JavaScript | Lang::TypeScript | Lang::Go => Syntax { backtick: true, ..c_like },
        Lang::Rust => Syntax { quotes: b"\"", ..c_like },
        Lang::Php | Lang::Terraform => Syntax { line_comments: &["//", "#"], ..c_like },
        Lang::Css => Syntax { line_comments: &[], ..c_like },
        Lang::Python | Lang::Elixir => Syntax { triple: true, ..hashed },
        Lang::Ruby | Lang::Perl | Lang::Shell | Lang::Yaml | Lang::Workflow | Lang::Dockerfile | Lang::Make => hashed,
        Lang::Config => Syntax { line_comments: &["#", ";"], ..hashed },
        Lang::Sql => Syntax { line_comments: &["--"], quotes: b"'", ..c_like },
        Lang::Html => Syntax { line_comments: &[], block_comment: Some(("<!--", "-->")), quotes: b"", ..hashed },
        Lang::Json | Lang::Prose | Lang::Other => Syntax { line_comments: &[], quotes: b"", ..hashed },
    }
}

/// A hunk that closes a comment before any is opened began inside one.
fn first_state(lines: &[SourceLine<'_>], lang: Lang) -> State {
    let Some((open, close)) = syntax(lang).block_comment else { return State::Code };
    if lines.first().is_none_or(|line| line.number == 1) {
        return State::Code;
    }
    for line in lines {
        let text = cap(line.text, CODE_CAP);
        let (opened, closed) = (text.find(open), text.find(close));
        match (opened, closed) {
            (None, None) => {}
            // `*/` at the start of a line only: elsewhere it may be a glob in a string
            (None, Some(at)) if text[..at].trim().is_empty() || text.trim_start().starts_with('*') => {
                return State::Comment;
            }
            _ => return State::Code,
        }
    }
    State::Code
}

/// Splits a line and tells the state in which the next one begins.
fn split(text: &str, lang: Lang, mut state: State, mut parts: Option<&mut Parts>) -> State {
    let syntax = syntax(lang);
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut put = |kind: State, piece: &str, edge: bool| {
        let Some(parts) = parts.as_deref_mut() else { return };
        match kind {
            State::Comment => parts.comment.push_str(piece),
            State::Text(_) if !edge => {
                parts.code.push_str(piece);
                parts.bare.extend(std::iter::repeat_n(' ', piece.len()));
            }
            _ => {
                parts.code.push_str(piece);
                parts.bare.push_str(piece);
            }
        }
    };
    while at < bytes.len() {
        let rest = &text[at..];
        match state {
            State::Comment => {
                let close = syntax.block_comment.map_or("", |(_, close)| close);
                let end = rest.find(close).map(|end| end + close.len());
                put(State::Comment, &rest[..end.unwrap_or(rest.len())], false);
                match end {
                    Some(end) => {
                        at += end;
                        state = State::Code;
                    }
                    None => return State::Comment,
                }
            }
            State::Text(quote) => match end_of(rest, quote) {
                Some((start, end)) => {
                    put(state, &rest[..start], false);
                    put(State::Code, &rest[start..end], true);
                    at += end;
                    state = State::Code;
                }
                None => {
                    put(state, rest, false);
                    return state;
                }
            },
            State::Code => {
                // everything that may begin something else is ASCII, so plain text goes as one piece
                let plain = rest
                    .bytes()
                    .position(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'/' | b'#' | b';' | b'-' | b'<'))
                    .unwrap_or(rest.len());
                if plain > 0 {
                    put(State::Code, &rest[..plain], true);
                    at += plain;
                    continue;
                }
                if begins_comment(&syntax, text, at) {
                    put(State::Comment, rest, false);
                    return State::Code;
                }
                if let Some((open, _)) = syntax.block_comment
                    && rest.starts_with(open)
                {
                    put(State::Comment, open, false);
                    at += open.len();
                    state = State::Comment;
                    continue;
                }
                let byte = bytes[at];
                if let Some((quote, length)) = opens_text(&syntax, lang, text, at) {
                    put(State::Code, &rest[..length], true);
                    at += length;
                    state = State::Text(quote);
                } else if syntax.quotes.contains(&byte) {
                    put(State::Code, &rest[..1], true);
                    at += 1;
                    // a quote that this line does not close is an apostrophe
                    if let Some(end) = closing(&text[at..], byte) {
                        put(State::Text(Quote::Double), &text[at..at + end], false);
                        put(State::Code, &text[at + end..at + end + 1], true);
                        at += end + 1;
                    }
                } else if lang == Lang::Rust && byte == b'\'' {
                    let length = char_literal(rest).unwrap_or(1);
                    put(State::Text(Quote::Double), &rest[..length], length == 1);
                    at += length;
                } else {
                    put(State::Code, &rest[..1], true);
                    at += 1;
                }
            }
        }
    }
    state
}

fn begins_comment(syntax: &Syntax, text: &str, at: usize) -> bool {
    let before = text[..at].bytes().last();
    syntax.line_comments.iter().any(|mark| {
        text[at..].starts_with(mark)
            && match *mark {
                "//" => before != Some(b':'),
                ";" => text[..at].trim().is_empty(),
                _ => before.is_none_or(|byte| byte.is_ascii_whitespace()),
            }
    })
}

/// A string that may span lines, and how long its opening is.
fn opens_text(syntax: &Syntax, lang: Lang, text: &str, at: usize) -> Option<(Quote, usize)> {
    let rest = &text[at..];
    let byte = rest.as_bytes()[0];
    if syntax.triple && matches!(byte, b'"' | b'\'') && rest.bytes().take(3).filter(|&b| b == byte).count() == 3 {
        return Some((Quote::Triple(byte), 3));
    }
    if syntax.backtick && byte == b'`' {
        return Some((Quote::Backtick, 1));
    }
    if lang != Lang::Rust {
        return None;
    }
    let before = |count: usize| at.checked_sub(count).map(|at| text.as_bytes()[at]);
    if byte == b'"' {
        return Some((if before(1) == Some(b'r') { Quote::Raw(0) } else { Quote::Double }, 1));
    }
    if byte == b'#' && before(1) == Some(b'r') {
        let hashes = rest.bytes().take_while(|&byte| byte == b'#').count();
        if rest.as_bytes().get(hashes) == Some(&b'"') {
            return Some((Quote::Raw(u8::try_from(hashes).ok()?), hashes + 1));
        }
    }
    None
}

/// Where the closing quote begins and ends.
fn end_of(rest: &str, quote: Quote) -> Option<(usize, usize)> {
    match quote {
        Quote::Double => closing(rest, b'"').map(|at| (at, at + 1)),
        Quote::Backtick => closing(rest, b'`').map(|at| (at, at + 1)),
        Quote::Triple(byte) => {
            let close = if byte == b'"' { "\"\"\"" } else { "'''" };
            rest.find(close).map(|at| (at, at + 3))
        }
        Quote::Raw(hashes) => {
            let close = format!("\"{}", "#".repeat(usize::from(hashes)));
            rest.find(&close).map(|at| (at, at + close.len()))
        }
    }
}

/// The next such quote that no backslash escapes.
fn closing(rest: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    rest.bytes().position(|byte| {
        let found = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        found
    })
}

/// Length of a character literal of Rust; a lifetime is none.
fn char_literal(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first == '\\' {
        let (escape, escaped) = chars.next()?;
        let after = escape + escaped.len_utf8();
        return rest[after..].find('\'').map(|end| after + end + 1);
    }
    chars.next().filter(|&(_, c)| c == '\'').map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, start: u32, text: &str) -> FileDiff {
        let lines = text.lines().count();
        let body: String = text.lines().map(|line| format!("+{line}\n")).collect();
        let head = format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -0,0 +{start},{lines} @@\n");
        let mut diff = crate::diff::Diff::parse(format!("{head}{body}").as_bytes()).expect("a diff");
        diff.files.remove(0)
    }

    #[test]
    fn a_character_that_is_escaped_may_be_any() {
        assert_eq!(char_literal("'\\\u{200b}'x"), Some(6));
        assert_eq!(char_literal("'\\n'"), Some(4));
        assert_eq!(char_literal("'\\\u{200b}x"), None);
        assert_eq!(char_literal("'a"), None);
    }

    fn parts(path: &str, text: &str) -> Vec<(String, String)> {
        parts_from(1, path, text)
    }

    fn parts_from(start: u32, path: &str, text: &str) -> Vec<(String, String)> {
        let file = file(path, start, text);
        let subject = Subject::new(&file);
        let side = &subject.sides[0];
        (0..side.lines.len()).map(|index| side.parts(index)).map(|parts| (parts.bare, parts.comment)).collect()
    }

    fn pair(bare: &str, comment: &str) -> (String, String) {
        (bare.into(), comment.into())
    }

    #[test]
    fn splits_comments_and_strings() {
        assert_eq!(parts("a.py", "x = 'a#b' # c"), [pair("x = '   ' ", "# c")]);
        assert_eq!(parts("a.js", "f('http://x', a) // b"), [pair("f('        ', a) ", "// b")]);
        assert_eq!(
            parts("a.js", "f(`a\nb` + c) /* d\ne */ g"),
            [pair("f(` ", ""), pair(" ` + c) ", "/* d"), pair(" g", "e */"),]
        );
        assert_eq!(
            parts("a.py", "\"\"\"doc\ndoc\"\"\"\ncode"),
            [pair("\"\"\"   ", ""), pair("   \"\"\"", ""), pair("code", ""),]
        );
        assert_eq!(parts("a.sh", "echo ${#x} don't # c"), [pair("echo ${#x} don't ", "# c")]);
        assert_eq!(parts("a.json", "{\"a\": 1} // x"), [pair("{\"a\": 1} // x", "")]);
    }

    #[test]
    fn splits_rust() {
        assert_eq!(
            parts("a.rs", "fn f<'a>(x: &'a str) { '\"'; '\\''; \"b\\\"c\" } // d"),
            [pair("fn f<'a>(x: &'a str) {    ;     ; \"    \" } ", "// d")]
        );
        assert_eq!(parts("a.rs", "r#\"a\" b\"# c \"d\ne\" f"), [pair("r#\"    \"# c \" ", ""), pair(" \" f", "")]);
    }

    #[test]
    fn a_hunk_may_begin_in_a_comment() {
        assert_eq!(parts_from(9, "a.c", " * a\n */\nb"), [pair("", " * a"), pair("", " */"), pair("b", "")]);
        assert_eq!(parts_from(9, "a.c", "a\nf(\"x*/\");"), [pair("a", ""), pair("f(\"   \");", "")]);
    }

    #[test]
    fn knows_files_by_path_and_first_line() {
        let facts = |path: &str, text: &str| {
            let file = file(path, 1, text);
            let subject = Subject::new(&file);
            (subject.lang, subject.test, subject.doc, subject.generated)
        };
        assert_eq!(facts("src/main.rs", "x"), (Lang::Rust, false, false, false));
        assert_eq!(facts("src/latest.rs", "x"), (Lang::Rust, false, false, false));
        assert_eq!(facts("src/test/java/A.java", "x"), (Lang::Java, true, false, false));
        assert_eq!(facts("pkg/a_test.go", "x"), (Lang::Go, true, false, false));
        assert_eq!(facts("src/UserTest.php", "x"), (Lang::Php, true, false, false));
        assert_eq!(facts("docs/a.py", "x"), (Lang::Python, false, true, false));
        assert_eq!(facts("README.md", "x"), (Lang::Prose, false, true, false));
        assert_eq!(facts("Cargo.lock", "x"), (Lang::Other, false, false, true));
        assert_eq!(facts("web/jquery.min.js", "x"), (Lang::JavaScript, false, false, true));
        assert_eq!(facts(".github/workflows/ci.yml", "x"), (Lang::Workflow, false, false, false));
        assert_eq!(facts("ci.yml", "x"), (Lang::Yaml, false, false, false));
        assert_eq!(facts("bin/run", "#!/usr/bin/env python3.12"), (Lang::Python, false, false, false));
        assert_eq!(facts("bin/run", "#!/bin/bash -eu"), (Lang::Shell, false, false, false));
        assert_eq!(facts("docker/Dockerfile.dev", "x"), (Lang::Dockerfile, false, false, false));
    }

    #[test]
    fn knows_where_the_tests_of_a_rust_file_begin() {
        let file = file("src/a.rs", 1, "mod latest {}\nfn f() {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n}");
        let subject = Subject::new(&file);
        let tests: Vec<bool> = (0..6).map(|index| At::new(&subject, &subject.sides[0], index).in_test()).collect();
        assert_eq!(tests, [false, false, false, true, true, true]);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let text = "ä".repeat(CODE_CAP);
        assert_eq!(cap(&text, CODE_CAP + 1).len(), CODE_CAP);
    }
}
