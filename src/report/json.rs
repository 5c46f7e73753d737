//! The review as it is, for programs.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::plain;
use crate::review::Review;

pub fn render(review: &Review) -> String {
    pretty(review)
}

/// JSON Schema of [`render`].
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A review by cicdctl",
        "$ref": "#/$defs/Review",
        "$defs": definitions("Review"),
    })
}

/// The part of the API's description that is about this type, and what that refers to.
pub fn definitions(name: &str) -> Map<String, Value> {
    const API: &str = include_str!("../runner/openapi.json");
    let api: Value = serde_json::from_str(API).expect("a constant text");
    let mut definitions = Map::new();
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        let text = api["components"]["schemas"][&name].to_string().replace("#/components/schemas/", "#/$defs/");
        let schema: Value = serde_json::from_str(&text).expect("it was JSON before");
        references(&schema, &mut waiting);
        definitions.insert(name, schema);
        waiting.retain(|name| !definitions.contains_key(name));
    }
    definitions
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

/// As [`plain::json`], of what can be written for sure.
pub fn pretty(value: &impl Serialize) -> String {
    plain::json(value).expect("these types have string keys and no fallible serializer")
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
