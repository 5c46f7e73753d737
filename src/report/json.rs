//! The review as it is, for programs.

use serde::Serialize;

use crate::plain;
use crate::review::Review;

pub fn render(review: &Review) -> String {
    pretty(review)
}

/// Indented JSON whose every character can be seen: inside a string, the only place for such a character, it may as
/// well be written `\u202e`.
pub fn pretty(value: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(value).expect("these types have string keys and no fallible serializer");
    let mut text = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        if c == '\n' || !plain::is_hidden(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_review_can_be_read_back() {
        for review in [sample::clean(), sample::typical(), sample::failed(), sample::hostile()] {
            let json = render(&review);
            assert_eq!(serde_json::from_str::<Review>(&json).unwrap(), review);
            assert!(!json.contains(|c| c != '\n' && plain::is_hidden(c)));
            assert!(json.ends_with("}\n"));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        assert_eq!(pretty(&"a\u{1b}\u{7f}\u{202e}\u{e0041}é"), "\"a\\u001b\\u007f\\u202e\\udb40\\udc41é\"\n");
    }
}
