//! The review as it is, for programs.

use serde::Serialize;
use serde_json::{Value, json};

use crate::plain;
use crate::review::Review;

pub fn render(review: &Review) -> String {
    pretty(review)
}

/// JSON Schema of [`render`]: the part of the API's description that is about a review.
pub fn schema() -> Value {
    const API: &str = include_str!("../runner/openapi.json");
    let api: Value = serde_json::from_str(API).expect("a constant text");
    let mut definitions = serde_json::Map::new();
    let mut waiting = vec!["Review".to_owned()];
    while let Some(name) = waiting.pop() {
        let text = api["components"]["schemas"][&name].to_string().replace("#/components/schemas/", "#/$defs/");
        let schema: Value = serde_json::from_str(&text).expect("it was JSON before");
        references(&schema, &mut waiting);
        definitions.insert(name, schema);
        waiting.retain(|name| !definitions.contains_key(name));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A review by cicdctl",
        "$ref": "#/$defs/Review",
        "$defs": definitions,
    })
}

fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value.as_str().filter(|_| key == "$ref").and_then(|path| path.strip_prefix("#/$defs/")) {
                    Some(name) => names.push(name.to_owned()),
                    None => references(value, names),
                }
            }
        }
        Value::Array(array) => array.iter().for_each(|value| references(value, names)),
        _ => {}
    }
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
    use crate::review::{Coverage, SessionUsed};

    #[test]
    fn a_review_is_what_its_schema_says() {
        let schema = jsonschema::validator_for(&schema()).unwrap();
        let mut continued = sample::typical();
        continued.receipt.files[0].coverage = Coverage::Known { job: "01JCLEAN".to_owned() };
        let session = SessionUsed { id: "b33c7d2c-8940-5ca4-af09-f965166c74b5".to_owned(), resumes: 1 };
        continued.receipt.engine.as_mut().unwrap().session = Some(session);
        for review in [sample::clean(), sample::typical(), sample::failed(), sample::hostile(), continued] {
            let mut value: Value = serde_json::from_str(&render(&review)).unwrap();
            let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{wrong:?}");
            value["outcome"] = "fine".into();
            assert!(!schema.is_valid(&value));
        }
    }

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
