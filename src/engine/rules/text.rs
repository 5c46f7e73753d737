//! What stands in a text and should not: conflict markers, characters that deceive the reader, notes to oneself.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "text-conflict-marker",
            title: "Unresolved merge conflict",
            severity: Severity::High,
            category: Category::Correctness,
            confidence: 0.95,
            explanation: "The markers of a merge conflict are still in the file, so it holds both versions and most likely \
                          does not even parse. Decide between the sides and delete the markers.",
        },
        scope: Scope { tests: false, ..Scope::ANYWHERE },
        check: Check::Line(&["<<<<<<< ", ">>>>>>> "], conflict),
    },
    Rule {
        info: RuleInfo {
            id: "text-bidi-control",
            title: "Bidirectional control character",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.9,
            explanation: "This character reorders what is shown, so that code reads differently from what the compiler sees \
                          (\"Trojan Source\", CVE-2021-42574). Delete it, or write it as an escape where a string needs it.",
        },
        scope: Scope::code(Lang::CODE).and_tests().and_docs(),
        check: Check::Line(BIDI, |at| shown_character(at.text(), is_bidi)),
    },
    Rule {
        info: RuleInfo {
            id: "text-invisible-character",
            title: "Invisible character in code",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Outside of strings and comments nobody can see this character, yet it makes two names that look \
                          the same differ, or hides a name altogether. Delete it.",
        },
        scope: Scope::code(Lang::CODE).and_tests(),
        check: Check::Line(INVISIBLE, |at| {
            // a byte order mark may open a file
            let text = if at.number() == 1 { at.bare().trim_start_matches('\u{feff}') } else { at.bare() };
            shown_character(text, is_invisible)
        }),
    },
    Rule {
        info: RuleInfo {
            id: "text-tag-characters",
            title: "Hidden text in tag characters",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.95,
            explanation: "These characters of Unicode spell out ASCII that no editor shows but that language models and \
                          parsers read: a way to smuggle instructions or payloads past a reviewer. Delete them.",
        },
        scope: Scope::ANYWHERE,
        check: Check::File(|subject| {
            let hidden = subject.lines().find(|line| line.added && has_tags(line.text))?;
            Some(Hit::lines(hidden.number, hidden.number))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "text-do-not-merge",
            title: "Note that this must not be merged",
            severity: Severity::Medium,
            category: Category::Maintainability,
            confidence: 0.85,
            explanation: "The author says that this is not to be merged as it is. Do what the note asks for and delete it, or \
                          hold the change back.",
        },
        scope: Scope::code(&[]).and_tests(),
        check: Check::Line(
            &["do not", "donot", "nocommit", "before merg", "before commit", "before submit"],
            do_not_merge,
        ),
    },
];

/// U+202A–U+202E and U+2066–U+2069.
const BIDI: &[&str] =
    &["\u{202a}", "\u{202b}", "\u{202c}", "\u{202d}", "\u{202e}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}"];

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

const INVISIBLE: &[&str] = &[
    "\u{ad}", "\u{115f}", "\u{1160}", "\u{180e}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{2060}", "\u{2061}",
    "\u{2062}", "\u{2063}", "\u{2064}", "\u{3164}", "\u{feff}", "\u{ffa0}",
];

fn is_invisible(c: char) -> bool {
    INVISIBLE.iter().any(|text| text.starts_with(c))
}

fn shown_character(text: &str, is: fn(char) -> bool) -> Option<Hit> {
    text.chars().find(|&c| is(c)).map(|c| Hit::shown(format!("U+{:04X}", u32::from(c))))
}

/// The start of a conflict stands for the whole of it; an end alone counts where the hunk shows no start.
fn conflict(at: &At<'_>) -> Option<Hit> {
    let start = |text: &str| pattern!(r"^<{7} \S").is_match(text);
    let middle = |text: &str| text == "=======";
    let end = |text: &str| pattern!(r"^>{7} \S").is_match(text);
    // documents explain conflicts inside of fences
    if at.subject.doc && at.before().filter(|line| line.text().trim_start().starts_with("```")).count() % 2 == 1 {
        return None;
    }
    if start(at.text()) {
        let last = at.after().find(|line| end(line.text()));
        let split = at.after().any(|line| middle(line.text()));
        return match last {
            Some(last) if split => Some(Hit::lines(at.number(), last.number())),
            _ => Hit::when(split),
        };
    }
    let split = end(at.text()) && at.before().any(|line| middle(line.text()));
    Hit::when(split && !at.before().any(|line| start(line.text())))
}

/// Flags of regions are a black flag and tags: they are no hidden text.
fn has_tags(text: &str) -> bool {
    // all of them begin with this byte in UTF-8, and little else does
    if !text.bytes().any(|byte| byte == 0xf3) {
        return false;
    }
    let mut flag = false;
    text.chars().any(|c| {
        let tag = matches!(c, '\u{e0001}' | '\u{e0020}'..='\u{e007f}');
        flag = c == '\u{1f3f4}' || (flag && tag);
        tag && !flag
    })
}

fn do_not_merge(at: &At<'_>) -> Option<Hit> {
    let note = pattern!(
        r"\bDO[ _-]?NOT[ _-]?(?:MERGE|SUBMIT|COMMIT|SHIP|LAND)\b|\bNOCOMMIT\b|@nocommit\b|(?i)\b(?:todo|fixme|xxx|hack|remove|delete|revert|drop)\b.{0,60}\bbefore (?:merg|commit|submit)(?:e|ing|ting)?\b"
    );
    Hit::when(note.is_match(at.comment()))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    let [start, middle, end] = ['<', '=', '>'].map(|c| c.to_string().repeat(7));
    let conflict = format!("{start} HEAD\nours\n{middle}\ntheirs\n{end} topic\n");
    vec![
        fires("text-conflict-marker", "src/a.c", conflict.clone()),
        fires("text-conflict-marker", "README.md", conflict.clone()),
        fires("text-conflict-marker", "src/a.c", format!("{middle}\ntheirs\n{end} topic\n")),
        quiet("text-conflict-marker", "README.md", format!("# How to merge\n\n```\n{conflict}```\n")),
        quiet(
            "text-conflict-marker",
            "docs/a.rst",
            format!("Heading\n{middle}\n\n{end} quoted\n").replace(&format!("{end} quoted"), ">>> f()"),
        ),
        quiet("text-conflict-marker", "docs/a.md", format!("Heading\n{middle}\n\n> > > > > > > deep\n")),
        quiet("text-conflict-marker", "src/a.c", format!("// {start} HEAD\n// {middle}\n")),
        quiet("text-conflict-marker", "src/a.sh", format!("cat {start} EOF\n")),
        fires("text-bidi-control", "src/a.c", "if (admin) { /*\u{202e} } \u{2066}if (x)\u{2069}\u{2066} */ go(); }"),
        fires("text-bidi-control", "src/a.py", "x = 'user\u{202e}' # y"),
        quiet("text-bidi-control", "locale/ar.json", "{\"a\": \"\u{202b}مرحبا\u{202c}\"}"),
        quiet("text-bidi-control", "src/a.py", "x = '\\u202e'"),
        fires("text-invisible-character", "src/a.js", "const user\u{200b}Name = 1;"),
        fires("text-invisible-character", "src/a.js", "const { a,\u{3164}} = req.query;"),
        quiet("text-invisible-character", "src/a.js", "const family = '👨\u{200d}👩\u{200d}👧';"),
        quiet("text-invisible-character", "src/a.cs", "\u{feff}using System;"),
        quiet("text-invisible-character", "src/a.js", "// soft\u{ad}hyphen"),
        fires("text-tag-characters", "README.md", "Hello\u{e0049}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}"),
        quiet(
            "text-tag-characters",
            "README.md",
            "Flag: \u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}!",
        ),
        fires("text-do-not-merge", "src/a.go", "x := 1 // DO NOT SUBMIT"),
        fires("text-do-not-merge", "src/a.py", "# TODO: remove this before merging"),
        fires("text-do-not-merge", "src/a.py", "x = 1  # XXX remove before merge"),
        fires("text-do-not-merge", "src/a.ts", "/* NOCOMMIT */"),
        quiet("text-do-not-merge", "src/a.go", "// Do not merge the two slices in place: callers hold on to both."),
        quiet("text-do-not-merge", "src/a.py", "LABEL = 'DO NOT MERGE'"),
        quiet("text-do-not-merge", "CONTRIBUTING.md", "Label it DO NOT MERGE."),
        quiet("text-do-not-merge", "src/a.go", "// sort the keys before merging"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::tests::added;
    use crate::diff::Diff;
    use crate::engine::rules::review;

    #[test]
    fn a_conflict_is_one_finding_from_start_to_end() {
        let [start, middle, end] = ['<', '=', '>'].map(|c| c.to_string().repeat(7));
        let text = format!("a\n{start} HEAD\nours\n{middle}\ntheirs\n{end} topic\nb\n");
        let drafts = review(&Diff { files: vec![added("src/a.c", &text)] });
        assert_eq!(drafts.len(), 1);
        assert_eq!((drafts[0].start_line, drafts[0].end_line), (Some(2), Some(6)));
    }
}
