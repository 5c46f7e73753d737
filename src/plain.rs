//! Text written by others → text that may be shown. Pure.
//!
//! What an engine says and what a change holds can carry terminal escapes, bidirectional controls and characters
//! that nobody sees. [`one_line`], [`prose`] and [`code`] take them out of what is kept; [`visible`] writes them out
//! where the text must stay as it is (paths, lines of code).

use serde::Serialize;

/// One line of at most `max` characters, its white space runs made single blanks.
pub fn one_line(text: &str, max: usize) -> String {
    let shown: String = without_escapes(text).chars().filter(|c| c.is_whitespace() || !is_hidden(*c)).collect();
    cut(&shown.split_whitespace().collect::<Vec<_>>().join(" "), max)
}

/// Paragraphs of at most `max` characters; newlines and tabs stay.
pub fn prose(text: &str, max: usize) -> String {
    let lines = without_escapes(text).replace("\r\n", "\n").replace(['\r', '\u{85}', '\u{2028}', '\u{2029}'], "\n");
    let shown: String = lines.chars().filter(|c| matches!(c, '\n' | '\t') || !is_hidden(*c)).collect();
    cut(shown.trim_end().trim_start_matches('\n'), max)
}

/// Source text: only escapes and control characters go, since any other character may be meant.
pub fn code(text: &str) -> String {
    without_escapes(text).chars().filter(|c| matches!(c, '\n' | '\r' | '\t') || !c.is_control()).collect()
}

/// The same text with each character that cannot be seen written out: `\n`, `\x1b`, `\u{202e}`.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            c if !is_hidden(c) => shown.push(c),
            c if c.is_ascii() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => shown.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    shown
}

/// Indented JSON that says the same to who reads it, and nothing to a terminal: what cannot be seen can only be within
/// strings, so it is written as JSON escapes it.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let json = serde_json::to_string_pretty(value)?;
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            c if c == '\n' || !is_hidden(c) => text.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    text.push('\n');
    Ok(text)
}

/// A line of code as it can be printed: tabs become blanks, the rest of what cannot be seen is written out.
pub fn visible_code(line: &str) -> String {
    visible(&line.strip_suffix('\r').unwrap_or(line).replace('\t', "    "))
}

/// At most `max` characters, the last of them `…` where something was cut off.
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(std::iter::once('…')).collect(),
    }
}

/// The beginning of a commit's name, as people write it.
pub fn short(sha: &str) -> &str {
    sha.get(..10).unwrap_or(sha)
}

/// A Markdown fence that no line of `text` can close.
pub fn fence(text: &str) -> String {
    "`".repeat(longest_backtick_run(text).max(2) + 1)
}

pub fn longest_backtick_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Control characters, bidirectional controls, and characters without width that no script needs.
///
/// Joiners (U+200C, U+200D) and variation selectors stay: emoji and several scripts cannot be written without.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Takes out the escape sequences of ECMA-48 (colours, cursor movement, titles, hyperlinks).
///
/// A string (OSC, DCS …) that is never ended loses only its introducer: a terminal would swallow all that follows, and
/// so would hide it from the reader.
fn without_escapes(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\u{1b}', '\u{90}', '\u{98}', '\u{9b}', '\u{9d}', '\u{9e}', '\u{9f}']) {
        kept.push_str(&rest[..at]);
        rest = after_escape(&rest[at..]);
    }
    kept.push_str(rest);
    kept
}

/// What follows the escape sequence that `text` begins with.
fn after_escape(text: &str) -> &str {
    let mut chars = text.chars();
    let kind = match chars.next() {
        Some('\u{1b}') => chars.clone().next(),
        Some('\u{9b}') => Some('['),
        _ => Some(']'),
    };
    let body = match (text.starts_with('\u{1b}'), kind) {
        (true, Some('[' | ']' | 'P' | 'X' | '^' | '_')) => {
            chars.next();
            chars.as_str()
        }
        _ => chars.as_str(),
    };
    match kind {
        Some('[') => {
            let body =
                body.trim_start_matches(|c| matches!(c, '0'..='?')).trim_start_matches(|c| matches!(c, ' '..='/'));
            body.strip_prefix(|c| matches!(c, '@'..='~')).unwrap_or(body)
        }
        Some(']' | 'P' | 'X' | '^' | '_') => ["\u{7}", "\u{1b}\\", "\u{9c}"]
            .into_iter()
            .filter_map(|end| body.find(end).map(|at| (at, end.len())))
            .min()
            .map_or(body, |(at, length)| &body[at + length..]),
        Some(_) => {
            let body = body.trim_start_matches(|c| matches!(c, ' '..='/'));
            body.strip_prefix(|c| matches!(c, '0'..='~')).unwrap_or(body)
        }
        None => body,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_the_same_for_who_reads_it() {
        let value = serde_json::json!(["x\u{9b}31m \u{202e}\u{e0041}\u{7f}", "ä\u{1b}"]);
        let text = json(&value).unwrap();
        assert_eq!(text, "[\n  \"x\\u009b31m \\u202e\\udb40\\udc41\\u007f\",\n  \"ä\\u001b\"\n]\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_title_is_one_line_without_escapes() {
        assert_eq!(one_line("  \u{1b}[1;31mred\u{1b}[0m\n\tand\u{0} \u{202e}more\u{200b} ", 200), "red and more");
        assert_eq!(one_line("\u{9b}31mred \u{1b}(Bplain \u{1b}cend", 200), "red plain end");
        assert_eq!(one_line("abcdef", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
    }

    #[test]
    fn links_and_titles_of_a_terminal_go_and_their_words_stay() {
        let link = "see \u{1b}]8;;https://evil.example\u{1b}\\here\u{1b}]8;;\u{7} now";
        assert_eq!(one_line(link, 200), "see here now");
        assert_eq!(one_line("\u{90}payload\u{9c}kept", 200), "kept");
    }

    #[test]
    fn a_string_that_never_ends_hides_nothing() {
        assert_eq!(one_line("a \u{1b}]0;the rest", 200), "a 0;the rest");
        assert_eq!(one_line("a \u{1b}", 200), "a");
        assert_eq!(one_line("a \u{1b}[", 200), "a");
    }

    #[test]
    fn prose_keeps_its_lines_and_indentation() {
        assert_eq!(prose("\r\none\r\n\ttwo\u{2028}three\u{7}\u{202d}\n\n", 100), "one\n\ttwo\nthree");
        assert_eq!(prose("  indented", 100), "  indented");
    }

    #[test]
    fn code_keeps_what_may_be_meant() {
        assert_eq!(code("\tlet a = \"\u{202e}\"; \u{1b}[31m\u{0}\r\n"), "\tlet a = \"\u{202e}\"; \r\n");
    }

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        assert_eq!(visible("a\tb\n\u{1b}[31m\u{9b}\u{202e}é"), "a\\tb\\n\\x1b[31m\\u{9b}\\u{202e}é");
        assert_eq!(visible_code("\tif x\r"), "    if x");
    }

    #[test]
    fn a_fence_is_longer_than_any_inside() {
        assert_eq!(fence("a `b` c"), "```");
        assert_eq!(fence("````rust"), "`````");
    }

    proptest! {
        #[test]
        fn nothing_hidden_survives(text in any::<String>(), more in "[\u{1b}\u{9b}\u{9d}\\[\\]0-9;m\u{7}\u{202e}a-z\n]*") {
            for text in [text.as_str(), more.as_str()] {
                prop_assert!(!one_line(text, 200).contains(is_hidden));
                prop_assert!(!visible(text).contains(is_hidden));
                prop_assert!(!prose(text, 200).contains(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
                prop_assert!(one_line(text, 20).chars().count() <= 20);
            }
        }
    }
}
