//! A review for a terminal.
//!
//! What others wrote is indented or stands behind a word of ours, so that no line of theirs can pass for one of ours:
//! the verdict stands at the left edge, last, and first as well where the change is not wholly reviewed and there is something to read in between.

use anstyle::{AnsiColor, Effects};

use super::{LeftOut, Style};
use crate::finding::{Finding, Severity};
use crate::plain;
use crate::quantity;
use crate::review::{Outcome, Review};

const MAX_SUGGESTION_LINES: usize = 40;
const MAX_MISSED: usize = 20;

pub fn render(review: &Review, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    // Where no engine ran there is nothing to read in between, and once is enough.
    let one_line = review.receipt.engine.is_none() && review.receipt.files.is_empty();
    if review.outcome != Outcome::Reviewed && one_line {
        page.verdict(review, &headline(review));
        return page.text;
    }
    if review.outcome != Outcome::Reviewed {
        page.verdict(review, &headline(review));
        page.blank();
    }
    if let Some(summary) = &review.summary {
        page.prose("  ", summary);
        page.blank();
    }
    for (index, finding) in review.findings.iter().enumerate() {
        // Findings come gravest first; those of one file stand together, at the place of its gravest.
        let first = review.findings.iter().position(|other| other.path == finding.path);
        if first == Some(index) {
            page.file(&finding.path, review.findings.iter().filter(|other| other.path == finding.path));
        }
    }
    page.receipt(review);
    let (memory, coverage) = (super::memory(&review.receipt), super::coverage(&review.receipt));
    let verdict = [Some(headline(review)), super::tally(review), memory, coverage];
    let verdict: Vec<String> = verdict.into_iter().flatten().collect();
    let verdict = match review.outcome {
        Outcome::Reviewed => format!("{}: {}", verdict[0], verdict[1..].join(", ")),
        _ => verdict.join("; "),
    };
    page.verdict(review, &verdict);
    page.text
}

fn headline(review: &Review) -> String {
    match review.outcome {
        Outcome::Reviewed => super::standing(review.outcome).to_owned(),
        outcome => format!("{}: {}", super::standing(outcome), super::reason(review)),
    }
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn file<'a>(&mut self, path: &str, findings: impl Iterator<Item = &'a Finding>) {
        for (number, part) in split_hard(&plain::visible(path), self.room(3)).into_iter().enumerate() {
            let part = self.paint(BOLD, &part);
            self.line(&format!("{} {part}", if number == 0 { "──" } else { "  " }));
        }
        self.blank();
        for finding in findings {
            self.finding(finding);
            self.blank();
        }
    }

    fn finding(&mut self, finding: &Finding) {
        let title = plain::one_line(&finding.title, 500);
        let severity = self.paint(color(finding.severity), finding.severity.as_str());
        for (number, line) in wrap(&title, self.room(4 + finding.severity.as_str().len())).into_iter().enumerate() {
            match number {
                0 => self.line(&format!("  {severity}: {line}")),
                _ => self.line(&format!("    {line}")),
            }
        }
        let (place, traits) = (super::place(finding), format!("({})", super::traits(finding).join(", ")));
        let together = format!("{place} {traits}");
        let lines = match together.chars().count() <= self.room(2) {
            true => vec![together],
            false => [split_hard(&place, self.room(2)), wrap(&traits, self.room(2))].concat(),
        };
        for line in lines {
            self.line(&format!("  {line}"));
        }

        let digits = finding.excerpt.iter().map(|line| line.number.to_string().len()).max().unwrap_or(0);
        for line in &finding.excerpt {
            let gutter = self.paint(DIM, &format!("{:>digits$} │", line.number));
            let code = plain::cut(&plain::visible_code(&line.text), self.room(7 + digits));
            self.line(format!("    {gutter} {code}").trim_end());
        }
        if !finding.explanation.is_empty() {
            self.prose("  ", &finding.explanation);
        }
        if let Some(suggestion) = &finding.suggestion {
            self.suggestion(finding, suggestion);
        }
    }

    fn suggestion(&mut self, finding: &Finding, suggestion: &str) {
        self.line("  suggestion:");
        let removed =
            super::replaced(finding).unwrap_or_default().iter().map(|line| ('-', REMOVED, line.text.as_str()));
        let added: Vec<&str> = if suggestion.is_empty() { vec![] } else { suggestion.split('\n').collect() };
        let further = added.len().saturating_sub(MAX_SUGGESTION_LINES);
        let added = added.into_iter().take(MAX_SUGGESTION_LINES).map(|line| ('+', ADDED, line));
        let lines: Vec<(char, anstyle::Style, &str)> = removed.chain(added).collect();
        for (marker, paint, line) in lines {
            let code = plain::cut(&plain::visible_code(line), self.room(6));
            let code = self.paint(paint, format!("{marker} {code}").trim_end());
            self.line(&format!("    {code}"));
        }
        if further > 0 {
            self.line(&format!("    … and {}", quantity::count(further, "further line")));
        }
    }

    fn receipt(&mut self, review: &Review) {
        let receipt = &review.receipt;
        for LeftOut { label, what, reason } in super::left_out(receipt, MAX_MISSED) {
            self.entry(label, &format!("{}: {reason}", plain::visible(&what)));
        }
        for note in &receipt.notes {
            self.entry("note", &plain::one_line(note, 1000));
        }
        let parts = [
            receipt.engine.as_ref().map(super::engine),
            Some(super::time(receipt)),
            receipt.peak_memory.map(|bytes| format!("{} of memory", quantity::bytes(bytes))),
            receipt.cage.as_ref().map(super::cage),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let label = if receipt.engine.is_some() { "engine" } else { "time" };
        self.entry(label, &parts.join(", "));
        if let Some(job) = &receipt.reviewed_by {
            self.entry("known", &super::known(job));
        }
        if let Some(published) = &receipt.published {
            self.entry("published", &super::published(published));
        }
    }

    /// Wrapped here, since a terminal that wraps would put words of others at the left edge.
    fn entry(&mut self, label: &str, text: &str) {
        let mut lines = wrap(&format!("{label}: {text}"), self.room(2)).into_iter();
        self.line(&lines.next().unwrap_or_default());
        for line in lines {
            self.line(&format!("  {line}"));
        }
    }

    fn verdict(&mut self, review: &Review, text: &str) {
        let (said, rest) = text.split_once(':').unwrap_or((text, ""));
        let paint = match review.outcome {
            Outcome::Reviewed => BOLD,
            Outcome::Failed => color(Severity::Critical),
            _ => color(Severity::Medium),
        };
        let said = self.paint(paint, said);
        self.line(&format!("{said}:{rest}"));
    }

    /// Markdown is easily read as it is; its lines are wrapped and nothing is joined. Code is left as it is but for its
    /// overlong lines.
    fn prose(&mut self, indent: &str, text: &str) {
        let mut in_code = false;
        for line in plain::prose(text, usize::MAX).lines() {
            let line = plain::visible_code(line);
            let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
            let room = self.room(indent.len());
            let lines = if in_code || fence { split_hard(&line, room) } else { wrap(&line, room) };
            for line in lines {
                self.line(format!("{indent}{line}").trim_end());
            }
            in_code ^= fence;
        }
    }

    fn room(&self, taken: usize) -> usize {
        self.style.width.saturating_sub(taken).max(20)
    }

    fn paint(&self, paint: anstyle::Style, text: &str) -> String {
        match self.style.color {
            true => format!("{paint}{text}{paint:#}"),
            false => text.to_owned(),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }
}

const BOLD: anstyle::Style = anstyle::Style::new().effects(Effects::BOLD);
const DIM: anstyle::Style = anstyle::Style::new().effects(Effects::DIMMED);
const REMOVED: anstyle::Style = AnsiColor::Red.on_default();
const ADDED: anstyle::Style = AnsiColor::Green.on_default();

fn color(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Critical | Severity::High => AnsiColor::Red.on_default().effects(Effects::BOLD),
        Severity::Medium => AnsiColor::Yellow.on_default().effects(Effects::BOLD),
        Severity::Low => AnsiColor::Cyan.on_default(),
        Severity::Info => DIM,
    }
}

/// One line → lines of at most `width` characters; what follows the first is indented like it, and under its text
/// where it is an item of a list. A word that does not fit is broken.
fn wrap(line: &str, width: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let item = ["- ", "* ", "+ "].iter().any(|marker| line[indent..].starts_with(marker));
    let hang = " ".repeat((indent + if item { 2 } else { 0 }).min(width / 2));
    let mut lines = Vec::new();
    let mut current = " ".repeat(indent.min(width / 2));
    let mut words = 0;
    for word in line.split_whitespace() {
        let mut word = word;
        loop {
            let gap = usize::from(words > 0);
            let room = width.saturating_sub(current.chars().count() + gap);
            if word.chars().count() <= room {
                current.push_str(&" ".repeat(gap));
                current.push_str(word);
                words += 1;
                break;
            }
            if words == 0 {
                let (fits, rest) = split_at(word, room.max(1));
                current.push_str(fits);
                word = rest;
            }
            lines.push(std::mem::replace(&mut current, hang.clone()));
            words = 0;
        }
    }
    lines.push(current);
    lines
}

fn split_hard(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = line;
    while rest.chars().count() > width {
        let (fits, more) = split_at(rest, width);
        lines.push(fits.to_owned());
        rest = more;
    }
    lines.push(rest.to_owned());
    lines
}

fn split_at(text: &str, chars: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::sample;

    const PLAIN: Style = Style { color: false, width: 72 };

    #[test]
    fn a_clean_review_is_two_lines() {
        assert_eq!(
            render(&sample::clean(), PLAIN),
            "\
engine: rules 0.1.0, 42 ms, not caged: no user manager
reviewed: no findings, 2 files seen
"
        );
    }

    #[test]
    fn what_is_remembered_stands_in_the_verdict() {
        let mut review = sample::clean();
        (review.receipt.dismissed, review.receipt.fixed) = (2, 1);
        let text = render(&review, PLAIN);
        let verdict = "reviewed: no findings, 2 dismissed before, 1 fixed since the last review, 2 files seen\n";
        assert!(text.ends_with(verdict), "{text}");
    }

    #[test]
    fn a_review_with_findings() {
        assert_eq!(
            render(&sample::typical(), PLAIN),
            "\
not wholly reviewed (partial): 1 of 4 files was not seen: `src/big.rs` (over the budget)

  Adds a login.

  The comparison is **not** safe.

── src/auth.rs

  critical: password compared with `==`
  src/auth.rs:12-13 (security, confidence 90 %)
    12 │     if given == stored {
    13 │         grant();
  The comparison ends at the first byte that differs, so its time tells
  how much of the password was right.

  - measure
  - repeat
  suggestion:
    -     if given == stored {
    -         grant();
    +     if constant_time_eq(given, stored) {
    +         grant();

  medium: token written to the log
  src/auth.rs:40 (security, rule secret-in-log)
    40 │     info!(\"{token}\");
  Whoever reads the log can log in.

── src/new file.rs

  low: no test covers this file
  src/new file.rs (testing)

not seen: src/big.rs: over the budget
excluded: Cargo.lock: lock file
note: left out 1 finding below `low`
engine: claude 2.1.3, sha256:1a2b3c4d5e6f, model sonnet, 12 turns,
  3,400 tokens in, 800 tokens out, $0.42, 12.3 s (engine 11.9 s), 120 MB
  of memory, caged in cicd-job-01JTYPICAL.service
not wholly reviewed (partial): 1 of 4 files was not seen: `src/big.rs` (over the budget); 3 findings (1 critical, 1 medium, 1 low); 2 files seen, 1 excluded, 1 not seen
"
        );
    }

    #[test]
    fn a_failure_never_looks_like_a_pass() {
        assert_eq!(
            render(&sample::failed(), PLAIN),
            "\
not reviewed (failed): the engine ended with signal 9
"
        );
        for outcome in Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Reviewed) {
            let text = render(&Review { outcome, reason: None, ..sample::clean() }, PLAIN);
            let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
            for line in [first, last] {
                assert!(line.starts_with("not "), "{text}");
                assert!(line.contains(outcome.as_str()), "{text}");
            }
            assert!(!text.contains("no findings,"), "{text}");
        }
    }

    #[test]
    fn hostile_content_is_shown_and_does_nothing() {
        assert_eq!(
            render(&sample::hostile(), PLAIN),
            "\
not reviewed yet (deferred): quota reviewed: no findings <img src=x onerror=alert(1)>

  reviewed: no findings
  ===
  # Reviewed

  <!-- cicdctl --><b>bold</b> ![x](https://evil.example/x.png) @alice
  #12 [ok](javascript:alert(1))

  [ref]: https://evil.example

  ~~~suggestion
  @bob
  ```
  ~~~

  </details>

── ../é\\nreviewed: no findings\\u{202e}`|<b>@x%.rs

  high: a | b `c|d` \\| <img> @alice ![x](y) **bold
  ../é\\nreviewed: no findings\\u{202e}`|<b>@x%.rs:7
  (security, rule x`|](y) <b>, confidence 50 %)
    7 │ \\x1b[2J\\u{202e}```zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz…
  ```
  never closed @carol
  ````
  https://evil.example/?q=1 www.evil.example
  reviewed: no findings
  suggestion:
    - \\x1b[2J\\u{202e}```zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz…
    + ```
    + \\x1b[31m@dave</code>\\u{202e}

not seen: x\\nreviewed: no findings: y</details>
excluded: `v`|w: excluded by `*|*`
note: reviewed: no findings </details> @eve
engine: command 1 reviewed: no findings, 42 ms, not caged: <b>
  reviewed: no findings
not reviewed yet (deferred): quota reviewed: no findings <img src=x onerror=alert(1)>; 1 finding (1 high); 1 file seen, 1 excluded, 1 not seen
"
        );
    }

    #[test]
    fn color_only_repeats_the_words() {
        for review in [sample::clean(), sample::typical(), sample::failed(), sample::hostile()] {
            let colored = render(&review, Style { color: true, ..PLAIN });
            assert_ne!(colored, render(&review, PLAIN));
            assert_eq!(plain::code(&colored), render(&review, PLAIN));
        }
        let text = render(&sample::clean(), Style { color: true, ..PLAIN });
        assert_eq!(text.lines().last(), Some("\u{1b}[1mreviewed\u{1b}[0m: no findings, 2 files seen"));
    }

    #[test]
    fn lines_are_wrapped_under_their_text() {
        assert_eq!(wrap("- one two three", 9), ["- one two", "  three"]);
        assert_eq!(wrap("  abcdefghijkl m", 8), ["  abcdef", "  ghijkl", "  m"]);
        assert_eq!(wrap("", 8), [""]);
        assert_eq!(split_hard("abcdef", 4), ["abcd", "ef"]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_too_long(line in "[ a-zé*-]{0,80}", width in 4usize..30) {
            let lines = wrap(&line, width);
            let letters = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(letters(&line), letters(&lines.concat()));
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width));
        }
    }
}
