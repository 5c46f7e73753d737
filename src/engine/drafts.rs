//! JSON that an engine wrote → drafts. Each is looked at alone: one that cannot be used is dropped and told of, and
//! only where none can be used the whole answer counts as garbage.

use std::path::{Component, Path};

use serde_json::Value;

use super::EngineError;
use crate::finding::Draft;

/// How many of the dropped findings are named in the note.
const NAMED: usize = 3;

/// Usable drafts and, where some were not, the note that says so.
pub fn read(values: Vec<Value>, checkout: &Path) -> Result<(Vec<Draft>, Option<String>), EngineError> {
    let drafts =
        values.into_iter().map(|value| serde_json::from_value(value).map_err(|error| error.to_string())).collect();
    sort(drafts, checkout)
}

/// The same for drafts that were read elsewhere.
pub fn check_all(drafts: Vec<Draft>, checkout: &Path) -> Result<(Vec<Draft>, Option<String>), EngineError> {
    sort(drafts.into_iter().map(Ok).collect(), checkout)
}

fn sort(drafts: Vec<Result<Draft, String>>, checkout: &Path) -> Result<(Vec<Draft>, Option<String>), EngineError> {
    let count = drafts.len();
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (index, draft) in drafts.into_iter().enumerate() {
        match draft.and_then(|draft| check(draft, checkout)) {
            Ok(draft) => good.push(draft),
            Err(reason) => bad.push(format!("no. {}: {}", index + 1, shorten(&reason, 160))),
        }
    }
    if bad.is_empty() {
        return Ok((good, None));
    }
    let mut reasons = bad.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    if bad.len() > NAMED {
        reasons.push_str("; …");
    }
    if good.is_empty() {
        let which = if count == 1 { "the only finding is".to_owned() } else { format!("all {count} findings are") };
        return Err(EngineError::failed(format!("{which} malformed: {reasons}")));
    }
    Ok((good, Some(format!("{} of {count} findings malformed and dropped: {reasons}", bad.len()))))
}

/// What a draft must be before anyone compares it with the diff.
fn check(draft: Draft, checkout: &Path) -> Result<Draft, String> {
    let Draft { path, start_line, end_line, severity, category, title, explanation, suggestion, confidence, rule } =
        draft;
    match (start_line, end_line) {
        (Some(0), _) => return Err("lines count from 1".to_owned()),
        (None, Some(_)) => return Err("`end_line` without `start_line`".to_owned()),
        (Some(start), Some(end)) if end < start => {
            return Err(format!("`end_line` {end} is before `start_line` {start}"));
        }
        _ => {}
    }
    if !(0.0..=1.0).contains(&confidence) {
        return Err(format!("`confidence` {confidence} is not between 0 and 1"));
    }
    // One line; a full stop only where it ends an ellipsis.
    let mut title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.ends_with('.') && !title.ends_with("..") {
        title.pop();
    }
    if title.is_empty() {
        return Err("`title` is empty".to_owned());
    }
    Ok(Draft {
        path: relative(&path, checkout)?,
        start_line,
        end_line,
        severity,
        category,
        title,
        explanation,
        suggestion,
        confidence,
        rule,
    })
}

/// A path as the diff has it. Engines that read files by absolute paths tend to answer with those.
fn relative(path: &str, checkout: &Path) -> Result<String, String> {
    let inside = Path::new(path);
    let inside = inside.strip_prefix(checkout).unwrap_or(inside);
    let inside = inside.strip_prefix(".").unwrap_or(inside);
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    match inside.to_str() {
        Some(text) if plain && !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("`{path}` is no path in the repository")),
    }
}

/// At most `limit` characters of a text, on one line and without control characters: fit for a message.
pub fn shorten(text: &str, limit: usize) -> String {
    let line = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(limit) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn finding(path: &str) -> Value {
        json!({"path": path, "severity": "low", "category": "other", "title": "t", "explanation": "e"})
    }

    fn with(key: &str, value: Value) -> Value {
        let mut finding = finding("a.rs");
        finding[key] = value;
        finding
    }

    #[test]
    fn malformed_ones_are_dropped_and_told_of() {
        let values = vec![
            finding("a.rs"),
            json!("no object"),
            with("severity", json!("blocker")),
            with("unknown", json!(1)),
            with("start_line", json!(-1)),
            with("start_line", json!(0)),
            with("end_line", json!(2)),
            with("confidence", json!(1.5)),
            with("title", json!("  \n")),
        ];
        let (drafts, note) = read(values, Path::new("/repo")).unwrap();
        assert_eq!(drafts.len(), 1);
        let note = note.unwrap();
        assert!(note.starts_with("8 of 9 findings malformed and dropped: no. 2: "), "{note}");
        assert!(note.contains("unknown variant `blocker`") && note.ends_with("; …"), "{note}");
    }

    #[test]
    fn nothing_but_malformed_ones_is_garbage() {
        let error = read(vec![finding("/etc/passwd")], Path::new("/repo")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the only finding is malformed: no. 1: `/etc/passwd` is no path in the repository"
        );
        assert_eq!(read(Vec::new(), Path::new("/repo")).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn paths_are_made_relative_and_stay_inside() {
        let checkout = Path::new("/work/repo");
        for (given, expected) in [
            ("src/a.rs", Some("src/a.rs")),
            ("./src/a.rs", Some("src/a.rs")),
            ("/work/repo/src/a.rs", Some("src/a.rs")),
            ("/work/repo", None),
            ("/work/repository/a.rs", None),
            ("../a.rs", None),
            ("src/../../a.rs", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(relative(given, checkout).ok().as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn a_title_is_one_line_without_a_full_stop() {
        let (drafts, _) = read(vec![with("title", json!("Reads\n past  the end."))], Path::new("/")).unwrap();
        assert_eq!(drafts[0].title, "Reads past the end");
    }

    #[test]
    fn shortening_counts_characters_and_drops_escapes() {
        assert_eq!(shorten("grün\u{1b}[31m\nrot", 100), "grün [31m rot");
        assert_eq!(shorten("äöü", 2), "äö…");
    }
}
