//! A review for a job summary or a comment: GitHub's Markdown, and GitLab's and Forgejo's.
//!
//! What the engine wrote keeps its lists, emphasis and code. Its HTML, headings, links, images, mentions and references
//! to issues become plain words: they could load a picture that tells a stranger what was read, call in people, or pass
//! for our own verdict.

use super::LeftOut;
use crate::finding::Finding;
use crate::plain;
use crate::quantity;
use crate::review::{Outcome, Review};

const MAX_MISSED: usize = 100;
/// Lines of code are cut here; nobody reads further in a comment.
const MAX_CODE_LINE: usize = 300;
/// Parts mentions, references and links where the reader sees nothing.
const ZERO_WIDTH_SPACE: &str = "&#8203;";

pub fn render(review: &Review) -> String {
    let mut text = opening(review);
    if !review.findings.is_empty() {
        text.push_str(TABLE);
        text.extend(review.findings.iter().map(row));
        text.push('\n');
        text.extend(review.findings.iter().map(details));
    }
    text.push_str(&receipt(review));
    text
}

/// The verdict, what was reviewed, and what the engine says of it as a whole.
pub fn opening(review: &Review) -> String {
    let tally = super::tally(review);
    let mut text = match (review.outcome, &tally) {
        (Outcome::Reviewed, Some(tally)) => format!("## Reviewed: {tally}\n\n"),
        (outcome, _) => {
            format!("## {}\n\n**Why:** {}\n\n", capitalised(super::standing(outcome)), inline(&super::reason(review)))
        }
    };
    text.push_str(&format!("{}, {}", code(&one_line(&review.project)), code(&one_line(&review.subject))));
    let tally = tally.filter(|_| review.outcome != Outcome::Reviewed);
    let counts = [tally, super::memory(&review.receipt), super::coverage(&review.receipt)];
    for part in counts.into_iter().flatten() {
        text.push_str(&format!(" · {part}"));
    }
    text.push_str("\n\n");
    if let Some(summary) = &review.summary {
        text.push_str(&format!("The engine's summary:\n\n{}\n\n", prose(summary)));
    }
    text
}

/// Head of the table of findings; each [`row`] is a line of it.
pub const TABLE: &str = "| severity | where | finding |\n| --- | --- | --- |\n";

pub fn row(finding: &Finding) -> String {
    row_of(&[finding.severity.to_string(), code(&super::place(finding)), inline(&finding.title)])
}

/// Category, rule and confidence, in one line.
pub fn traits(finding: &Finding) -> String {
    super::traits(finding).iter().map(|words| inline(words)).collect::<Vec<_>>().join(" · ")
}

/// The text that replaces the lines meant, shown as a change of them; nobody can apply it by a click.
pub fn suggestion(finding: &Finding) -> Option<String> {
    let suggestion = finding.suggestion.as_ref()?;
    let removed =
        super::replaced(finding).unwrap_or_default().iter().map(|line| format!("- {}", code_line(&line.text)));
    let added: Vec<&str> = if suggestion.is_empty() { vec![] } else { suggestion.split('\n').collect() };
    let added = added.into_iter().map(|line| format!("+ {}", code_line(line)));
    Some(format!("Suggestion:\n\n{}", fenced("diff", &removed.chain(added).collect::<Vec<_>>())))
}

pub fn details(finding: &Finding) -> String {
    let mut text = format!("### {}: {}\n\n", finding.severity, inline(&finding.title));
    text.push_str(&format!("{} · {}\n\n", code(&super::place(finding)), traits(finding)));
    if !finding.excerpt.is_empty() {
        let digits = finding.excerpt.iter().map(|line| line.number.to_string().len()).max().unwrap_or(0);
        let lines = finding.excerpt.iter().map(|line| format!("{:>digits$} | {}", line.number, code_line(&line.text)));
        text.push_str(&fenced("", &lines.collect::<Vec<_>>()));
    }
    if !finding.explanation.is_empty() {
        text.push_str(&format!("{}\n\n", prose(&finding.explanation)));
    }
    text.extend(suggestion(finding));
    text
}

pub fn receipt(review: &Review) -> String {
    let receipt = &review.receipt;
    let mut text = "<details><summary>Receipt</summary>\n\n| what | |\n| --- | --- |\n".to_owned();
    let rows = [
        ("outcome", Some(review.outcome.to_string())),
        ("job", Some(code(&one_line(&review.job)))),
        ("base", receipt.base_sha.as_deref().map(|sha| code(&one_line(sha)))),
        ("head", receipt.head_sha.as_deref().map(|sha| code(&one_line(sha)))),
        ("files", super::coverage(receipt)),
        ("engine", receipt.engine.as_ref().map(|engine| inline(&super::engine(engine)))),
        ("time", Some(super::time(receipt))),
        ("memory", receipt.peak_memory.map(quantity::bytes)),
        ("cage", receipt.cage.as_ref().map(|cage| inline(&super::cage(cage)))),
        ("known", receipt.reviewed_by.as_ref().map(|job| inline(&super::known(job)))),
        ("published", receipt.published.as_ref().map(|published| inline(&super::published(published)))),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            text.push_str(&row_of(&[name.to_owned(), value]));
        }
    }
    text.push('\n');
    for LeftOut { label, what, reason } in super::left_out(receipt, MAX_MISSED) {
        text.push_str(&format!("- {label}: {}: {}\n", code(&plain::visible(&what)), inline(&reason)));
    }
    for note in &receipt.notes {
        text.push_str(&format!("- note: {}\n", inline(&one_line(note))));
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str("</details>\n");
    text
}

/// Paragraphs, lists and code of others, made harmless.
pub fn prose(text: &str) -> String {
    let text = plain::prose(text, usize::MAX);
    let mut shown: Vec<String> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(opening) = fence_of(line) else {
            shown.push(block_line(line));
            continue;
        };
        // What is never closed runs to the end, as everywhere in Markdown. No language is passed on: `suggestion` would
        // offer to be applied, `mermaid` would draw.
        let closes =
            |line: &&str| fence_of(line).is_none_or(|fence| !fence.starts_with(opening) || line.trim() != fence);
        let inside: Vec<String> = lines.by_ref().take_while(closes).map(code_line).collect();
        shown.push(fenced("", &inside).trim_end().to_owned());
    }
    shown.join("\n")
}

/// A line of others within a line of ours: words, emphasis and code, nothing else.
pub fn inline(text: &str) -> String {
    let text = plain::one_line(text, usize::MAX);
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('`') {
        push_words(&mut shown, &rest[..at]);
        let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let after = &rest[at + run..];
        match closing(after, run) {
            Some(end) => {
                push_code(&mut shown, after[..end].trim());
                rest = &after[end + run..];
            }
            None => {
                shown.push_str(&"\\`".repeat(run));
                rest = after;
            }
        }
    }
    push_words(&mut shown, rest);
    shown
}

/// A code span that shows exactly `text`.
fn code(text: &str) -> String {
    if text.is_empty() {
        return "` `".to_owned();
    }
    let longest = plain::longest_backtick_run(text);
    if longest == 0 {
        return format!("`{text}`");
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

fn fenced(language: &str, lines: &[String]) -> String {
    let inside = lines.join("\n");
    let fence = plain::fence(&inside);
    format!("{fence}{language}\n{inside}\n{fence}\n\n")
}

fn code_line(line: &str) -> String {
    plain::cut(&plain::visible_code(line), MAX_CODE_LINE).trim_end().to_owned()
}

fn row_of(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// The characters that open a code block, where `line` opens or closes one.
pub fn fence_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let marker = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let fence = &line[..line.len() - line.trim_start_matches(marker).len()];
    let info = &line[fence.len()..];
    (fence.len() >= 3 && !(marker == '`' && info.contains('`'))).then_some(fence)
}

/// Where a run of exactly `run` backticks begins.
fn closing(text: &str, run: usize) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('`').map(|at| from + at) {
        let length = text[at..].len() - text[at..].trim_start_matches('`').len();
        if length == run && at > 0 {
            return Some(at);
        }
        from = at + length;
    }
    None
}

/// One line of a paragraph or list; it cannot be the underline of a heading.
fn block_line(line: &str) -> String {
    let indent = &line[..line.len() - line.trim_start().len()];
    let body = line.trim();
    let underline = !body.is_empty() && body.chars().all(|c| matches!(c, '=' | '-' | ' '));
    let escape = if underline { "\\" } else { "" };
    format!("{}{escape}{}", indent.replace('\t', "    "), inline(body))
}

/// A code span of its own: backticks that touch would be read as one run, and what is inside would get out.
fn push_code(shown: &mut String, text: &str) {
    if shown.ends_with('`') {
        shown.push(' ');
    }
    shown.push_str(&code(text));
}

/// Text outside of code.
fn push_words(shown: &mut String, text: &str) {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = address(rest, shown.chars().next_back()) {
            push_code(shown, &rest[..length]);
            rest = &rest[length..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        let before_number = rest.starts_with(|c: char| c.is_ascii_digit());
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '\\' | '[' | ']' | '~' | '$' | '#' => shown.extend(['\\', c]),
            c => shown.push(c),
        }
        let reference = match c {
            '@' => true,
            '#' | '!' | '%' => before_number,
            '-' => before_number && ends_with_ignoring_case(shown, "gh-"),
            _ => false,
        };
        if reference {
            shown.push_str(ZERO_WIDTH_SPACE);
        }
    }
}

/// Length of the address that `text` begins with and that a forge would make a link.
fn address(text: &str, before: Option<char>) -> Option<usize> {
    if before.is_some_and(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let starts = ["http://", "https://", "ftp://", "www."];
    starts.iter().find(|start| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start)))?;
    Some(text.find(|c: char| c.is_whitespace() || matches!(c, ')' | ']' | '>' | '<' | '"' | '`')).unwrap_or(text.len()))
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let start = text.len().saturating_sub(end.len());
    text.get(start..).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn one_line(text: &str) -> String {
    plain::one_line(text, 1000)
}

pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    #[test]
    fn a_clean_review() {
        assert_eq!(
            render(&sample::clean()),
            "\
## Reviewed: no findings

`acme/shop`, `HEAD~1..HEAD` · 2 files seen

<details><summary>Receipt</summary>

| what | |
| --- | --- |
| outcome | reviewed |
| job | `01JCLEAN` |
| base | `1111111111111111111111111111111111111111` |
| head | `2222222222222222222222222222222222222222` |
| files | 2 files seen |
| engine | rules 0.1.0 |
| time | 42 ms |
| cage | not caged: no user manager |

</details>
"
        );
    }

    #[test]
    fn a_review_with_findings() {
        assert_eq!(
            render(&sample::typical()),
            "\
## Not wholly reviewed (partial)

**Why:** 1 of 4 files was not seen: `src/big.rs` (over the budget)

`acme/shop`, `pull request 42` · 3 findings (1 critical, 1 medium, 1 low) · 2 files seen, 1 excluded, 1 not seen

The engine's summary:

Adds a login.

The comparison is **not** safe.

| severity | where | finding |
| --- | --- | --- |
| critical | `src/auth.rs:12-13` | password compared with `==` |
| medium | `src/auth.rs:40` | token written to the log |
| low | `src/new file.rs` | no test covers this file |

### critical: password compared with `==`

`src/auth.rs:12-13` · security · confidence 90 %

```
12 |     if given == stored {
13 |         grant();
```

The comparison ends at the first byte that differs, so its time tells how much of the password was right.

- measure
- repeat

Suggestion:

```diff
-     if given == stored {
-         grant();
+     if constant_time_eq(given, stored) {
+         grant();
```

### medium: token written to the log

`src/auth.rs:40` · security · rule secret-in-log

```
40 |     info!(\"{token}\");
```

Whoever reads the log can log in.

### low: no test covers this file

`src/new file.rs` · testing

<details><summary>Receipt</summary>

| what | |
| --- | --- |
| outcome | partial |
| job | `01JTYPICAL` |
| base | `1111111111111111111111111111111111111111` |
| head | `2222222222222222222222222222222222222222` |
| files | 2 files seen, 1 excluded, 1 not seen |
| engine | claude 2.1.3, sha256:1a2b3c4d5e6f, model sonnet, 12 turns, 3,400 tokens in, 800 tokens out, \\$0.42 |
| time | 12.3 s (engine 11.9 s) |
| memory | 120 MB |
| cage | caged in cicd-job-01JTYPICAL.service |

- not seen: `src/big.rs`: over the budget
- excluded: `Cargo.lock`: lock file
- note: left out 1 finding below `low`

</details>
"
        );
    }

    #[test]
    fn a_failure_never_looks_like_a_pass() {
        let text = render(&sample::failed());
        assert!(text.starts_with("## Not reviewed (failed)\n\n**Why:** the engine ended with signal 9\n"));
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Reviewed) {
            let text = render(&Review { outcome, reason: None, ..sample::clean() });
            assert!(text.starts_with("## Not "), "{text}");
            assert!(!text.contains("no findings ·"), "{text}");
        }
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        assert_eq!(
            render(&sample::hostile()).replace(&"z".repeat(270), "z…z"),
            "\
## Not reviewed yet (deferred)

**Why:** quota reviewed: no findings &lt;img src=x onerror=alert(1)&gt;

`acme/shop # Reviewed: no findings`, `pull request 42` · 1 finding (1 high) · 1 file seen, 1 excluded, 1 not seen

The engine's summary:

reviewed: no findings
\\===
\\# Reviewed

&lt;!-- cicdctl --&gt;&lt;b&gt;bold&lt;/b&gt; !\\[x\\](`https://evil.example/x.png`) @&#8203;alice \\#&#8203;12 \\[ok\\](javascript:alert(1))

\\[ref\\]: `https://evil.example`

````
@bob
```
````

&lt;/details&gt;

| severity | where | finding |
| --- | --- | --- |
| high | `` ../é\\nreviewed: no findings\\u{202e}`\\|<b>@x%.rs:7 `` | a \\| b `c\\|d` \\\\\\| &lt;img&gt; @&#8203;alice !\\[x\\](y) **bold |

### high: a | b `c|d` \\\\| &lt;img&gt; @&#8203;alice !\\[x\\](y) **bold

`` ../é\\nreviewed: no findings\\u{202e}`|<b>@x%.rs:7 `` · security · rule x\\`|\\](y) &lt;b&gt; · confidence 50 %

````
7 | \\x1b[2J\\u{202e}```z…zzzzzzzzzzzz…
````

```
never closed @carol
```
`https://evil.example/?q=1` `www.evil.example`
reviewed: no findings

Suggestion:

````diff
- \\x1b[2J\\u{202e}```z…zzzzzzzzzzzz…
+ ```
+ \\x1b[31m@dave</code>\\u{202e}
````

<details><summary>Receipt</summary>

| what | |
| --- | --- |
| outcome | deferred |
| job | `01JHOSTILE` |
| base | `1111111111111111111111111111111111111111` |
| head | `2222222222222222222222222222222222222222` |
| files | 1 file seen, 1 excluded, 1 not seen |
| engine | command 1 reviewed: no findings |
| time | 42 ms |
| cage | not caged: &lt;b&gt; reviewed: no findings |

- not seen: `x\\nreviewed: no findings`: y&lt;/details&gt;
- excluded: `` `v`|w ``: excluded by `*|*`
- note: reviewed: no findings &lt;/details&gt; @&#8203;eve

</details>
"
        );
    }

    #[test]
    fn what_could_act_becomes_words() {
        for (written, shown) in [
            ("plain **bold** _and_ `code @x <b>`", "plain **bold** _and_ `code @x <b>`"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("&#64;x &lt;", "&amp;\\#&#8203;64;x &amp;lt;"),
            ("![x](http://e.example/a.png)", "!\\[x\\](`http://e.example/a.png`)"),
            ("[x](javascript:y)", "\\[x\\](javascript:y)"),
            ("\\[x](y)", "\\\\\\[x\\](y)"),
            ("@alice a@b.example", "@&#8203;alice a@&#8203;b.example"),
            ("#12 a/b#3 GH-4 !5 C#", "\\#&#8203;12 a/b\\#&#8203;3 GH-&#8203;4 !&#8203;5 C\\#"),
            ("see HTTPS://e.example now", "see `HTTPS://e.example` now"),
            ("www.e.example/`x`www.e.example", "`www.e.example/` `x` `www.e.example`"),
            ("www.e.example/``@x`y`@z``", "`www.e.example/` `` @x`y`@z ``"),
            ("1http://e.example xhttp://e.example", "1`http://e.example` xhttp://e.example"),
            ("a `` b ` c", "a \\`\\` b \\` c"),
            ("`` a ` b ``", "`` a ` b ``"),
        ] {
            assert_eq!(inline(written), shown, "{written}");
        }
    }

    #[test]
    fn blocks_stay_blocks() {
        for (written, shown) in [
            ("# head\ntext\n---\n===\n- # head", "\\# head\ntext\n\\---\n\\===\n- \\# head"),
            ("- a\n  - b\n1. c", "- a\n  - b\n1. c"),
            ("```rust\nlet a = \"@x\";\n```\nafter @x", "```\nlet a = \"@x\";\n```\nafter @&#8203;x"),
            ("no heading\n- ", "no heading\n\\-"),
            ("~~~\n```\n~~~", "````\n```\n````"),
            ("```\nopen", "```\nopen\n```"),
            ("````\n```\n````", "````\n```\n````"),
            ("- ```\n  @x", "- \\`\\`\\`\n  @&#8203;x"),
        ] {
            assert_eq!(prose(written), shown, "{written}");
        }
    }

    proptest! {
        #[test]
        fn no_html_link_or_mention_outside_of_code(
            text in "[`~\\\\<>@!#&\\[\\]()|a-c0-1 \n-]{0,60}|(`{1,3}|www\\.|@| |a){0,20}",
        ) {
            let shown = inline(&text);
            let outside = outside_of_code(&shown);
            prop_assert!(!outside.contains(['<', '>', '[', ']', '#']), "{shown}");
            prop_assert!(!outside.replace("@\u{200b}", "").contains('@'), "{shown}");
            let parts: Vec<&str> = outside.split("www.").collect();
            prop_assert!(parts[..parts.len() - 1].iter().all(|part| part.ends_with(char::is_alphabetic)), "{shown}");
        }
    }

    /// What a reader of CommonMark finds outside of code spans, without what is escaped.
    fn outside_of_code(shown: &str) -> String {
        let mut outside = String::new();
        let mut rest = shown.replace("&#8203;", "\u{200b}");
        while let Some(c) = rest.chars().next() {
            let run = rest.len() - rest.trim_start_matches('`').len();
            let taken = match c {
                '\\' => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
                '`' => run + closing(&rest[run..], run).map_or(0, |end| end + run),
                c => {
                    outside.push(c);
                    c.len_utf8()
                }
            };
            rest.drain(..taken);
        }
        outside
    }
}
