//! Keeps secrets out of what leaves a process: the last net, as nothing should put them there. Pure.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::Regex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Anything that looks like a key of Anthropic's or a token of GitHub's, whoever it belongs to.
static LOOKS_LIKE_ONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("sk-ant-[A-Za-z0-9_-]+|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}")
        .expect("a constant pattern")
});

/// Shorter than this a "key" is part of ordinary words, and no key.
const SHORTEST: usize = 8;

/// Lines of a key in PEM that are worth looking for.
const SHORTEST_LINE: usize = 24;

/// Knows some secrets, and finds them as they are and in the forms that they travel in: base64 (also as a part of
/// something longer), percent-encoded, hexadecimal, within JSON, and the lines of a key in PEM.
pub struct Redactor {
    finder: Option<AhoCorasick>,
    /// What each of the finder's patterns becomes.
    marks: Vec<String>,
}

impl Redactor {
    /// Of names and values.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let (mut patterns, mut marks) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            for form in forms(value.trim()) {
                patterns.push(form);
                marks.push(format!("[redacted {name}]"));
            }
        }
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&patterns);
        Redactor { finder: finder.ok().filter(|_| !patterns.is_empty()), marks }
    }

    pub fn text(&self, text: &str) -> String {
        let without = match &self.finder {
            Some(finder) => finder.replace_all(text, &self.marks),
            None => text.to_owned(),
        };
        LOOKS_LIKE_ONE.replace_all(&without, "[redacted]").into_owned()
    }

    pub fn finds(&self, text: &str) -> bool {
        self.finder.as_ref().is_some_and(|finder| finder.is_match(text)) || LOOKS_LIKE_ONE.is_match(text)
    }

    /// All texts in what is written down as JSON.
    pub fn clean<T: Serialize + DeserializeOwned>(&self, thing: T) -> T {
        // Most have nothing to hide, and are left alone.
        match serde_json::to_string(&thing) {
            Ok(text) if !self.finds(&text) => return thing,
            _ => {}
        }
        let cleaned = serde_json::to_value(&thing).map(|mut value| {
            self.clean_value(&mut value);
            value
        });
        // A secret that is a word of our own, such as an outcome, is none.
        cleaned.and_then(serde_json::from_value).unwrap_or(thing)
    }

    fn clean_value(&self, value: &mut Value) {
        match value {
            Value::String(text) if self.finds(text) => *text = self.text(text),
            Value::Array(all) => all.iter_mut().for_each(|value| self.clean_value(value)),
            Value::Object(all) => all.values_mut().for_each(|value| self.clean_value(value)),
            _ => {}
        }
    }
}

/// What a value looks like on its ways.
fn forms(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        forms.extend(lines.filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with('-')).map(str::to_owned));
    }
    if value.len() >= SHORTEST {
        forms.push(value.to_owned());
        forms.push(serde_json::to_string(value).unwrap_or_default().trim_matches('"').to_owned());
        forms.push(percent_encoded(value));
        forms.push(hex::encode(value));
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            // Of three bytes four letters are made, so what precedes decides which letters it becomes; those at the
            // ends depend on the neighbours, too.
            for before in 0..3 {
                let text = engine.encode([&b"\0\0"[..before], value.as_bytes()].concat());
                let end = text.len() - usize::from(!(before + value.len()).is_multiple_of(3));
                forms.push(text[(before * 8).div_ceil(6)..end].to_owned());
            }
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.sort();
    forms.dedup();
    forms
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    fn one(value: &str) -> Redactor {
        Redactor::new([("key", value)])
    }

    #[test]
    fn replaces_the_key_and_what_looks_like_one() {
        let redactor = one("canary-4711\n");
        assert_eq!(
            redactor.text("key canary-4711, other sk-ant-api03-AbC_d-9, done"),
            "key [redacted key], other [redacted], done"
        );
        assert_eq!(redactor.text(&format!("ghp_{}", "a1".repeat(18))), "[redacted]");
        assert_eq!(Redactor::new([]).text("plain"), "plain");
    }

    #[test]
    fn an_empty_key_replaces_nothing() {
        for value in ["", "a", "short"] {
            assert_eq!(one(value).text("abc a short word"), "abc a short word");
        }
    }

    #[test]
    fn finds_a_key_in_other_forms() {
        let value = "c4n+ry/\"4711?ü";
        let redactor = one(value);
        for before in ["", "x", "xx", "xxx", "x-access-token:"] {
            for after in ["", "y", "yy", "yyy"] {
                let whole = format!("{before}{value}{after}");
                for text in [STANDARD.encode(&whole), URL_SAFE.encode(&whole)] {
                    assert!(redactor.text(&text).contains("[redacted key]"), "{whole}: {text}");
                }
            }
        }
        for text in [
            "a c4n%2Bry%2F%224711%3F%C3%BC b".to_owned(),
            hex::encode(format!("abc{value}")),
            serde_json::to_string(value).unwrap(),
        ] {
            assert!(redactor.text(&text).contains("[redacted key]"), "{text}");
        }
        assert!(!redactor.finds(&STANDARD.encode("quite another text than that one")));
    }

    #[test]
    fn finds_the_lines_of_a_key_in_pem() {
        let line = "MIIEowIBAAKCAQEAcanarycanarycanarycanary";
        let redactor = one(&format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\nxyz=\n-----END RSA PRIVATE KEY-----\n"));
        assert_eq!(redactor.text(&format!("> {line}")), "> [redacted key]");
        assert!(!redactor.finds("-----BEGIN RSA PRIVATE KEY-----"));
    }

    #[test]
    fn cleans_every_text_of_a_thing_and_keeps_the_rest() {
        let redactor = one("canary-4711");
        let thing = serde_json::json!({"a": ["x canary-4711", 1.5, null], "b": {"c": "Y2FuYXJ5LTQ3MTE="}});
        assert_eq!(
            redactor.clean(thing),
            serde_json::json!({"a": ["x [redacted key]", 1.5, null], "b": {"c": "[redacted key]E="}})
        );
        // Whoever has one of our words for a secret has none.
        let outcome = crate::review::Outcome::Cancelled;
        assert_eq!(one("cancelled").clean(outcome), outcome);
    }
}
