//! Files of the repository that are made from the program, or describe it, and must not drift from it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Answer, Place};

#[test]
fn man_pages_and_completions_are_those_of_the_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut present = BTreeMap::new();
    for dir in ["man", "completions"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let path = entry.unwrap().path();
            present.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap());
        }
    }
    let wanted: BTreeMap<PathBuf, Vec<u8>> = cicdctl::command::generate::generated().unwrap().into_iter().collect();
    let all: BTreeSet<&PathBuf> = present.keys().chain(wanted.keys()).collect();
    let wrong: Vec<String> = all
        .into_iter()
        .filter_map(|path| match (present.get(path), wanted.get(path)) {
            (Some(present), Some(wanted)) => (present != wanted).then(|| format!("{} has changed", path.display())),
            (None, _) => Some(format!("{} is missing", path.display())),
            (_, None) => Some(format!("{} is of no command; remove it", path.display())),
        })
        .collect();
    assert!(wrong.is_empty(), "{}\nrun `cargo run -- generate .` and commit what it writes", wrong.join("\n"));
}

fn document() -> Value {
    serde_json::from_str(include_str!("../src/runner/openapi.json")).unwrap()
}

/// What is wrong with a value by a schema of the document: the part of JSON Schema that it uses, and no more.
fn check(document: &Value, schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let is = |kind: &str| match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            "null" => value.is_null(),
            other => panic!("unknown type {other}"),
        };
        let fine = match keyword.as_str() {
            "description" | "default" => true,
            "$ref" => {
                check(document, resolved(document, schema), value, place, wrong);
                true
            }
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
                kind => is(kind.as_str().unwrap()),
            },
            "enum" => rule.as_array().unwrap().contains(value),
            "oneOf" => {
                let fits = rule.as_array().unwrap().iter().filter(|schema| {
                    let mut wrong = Vec::new();
                    check(document, schema, value, place, &mut wrong);
                    wrong.is_empty()
                });
                fits.count() == 1
            }
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
            "required" => {
                let missing = rule.as_array().unwrap().iter().find(|key| value.get(key.as_str().unwrap()).is_none());
                !value.is_object() || missing.is_none()
            }
            "properties" => {
                for (key, schema) in rule.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(document, schema, value, &format!("{place}.{key}"), wrong);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema["properties"].as_object().unwrap();
                value.as_object().is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, rule, item, &format!("{place}[{index}]"), wrong);
                }
                true
            }
            other => panic!("the test does not know `{other}`"),
        };
        if !fine {
            wrong.push(format!("{place}: {value} against {keyword} {rule}"));
        }
    }
}

/// What a `$ref` leads to; anything else is itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value.get("$ref") {
        Some(path) => document.pointer(path.as_str().unwrap().strip_prefix('#').unwrap()).expect("a dangling $ref"),
        None => value,
    }
}

#[track_caller]
fn assert_valid(schema: &str, value: &Value) {
    let document = document();
    let mut wrong = Vec::new();
    check(&document, &json!({ "$ref": format!("#/components/schemas/{schema}") }), value, schema, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Notes the answer to a route under its status, having compared it with what the document says of it.
fn answered(seen: &mut BTreeSet<(String, String, String)>, method: &str, path: &str, answer: &Answer) {
    let document = document();
    let operation = &document["paths"][path][method];
    let status = answer.status.to_string();
    let documented = resolved(&document, &operation["responses"][&status]);
    assert!(documented.is_object(), "{method} {path} answers {status}, which is not documented: {answer:?}");
    if answer.status != 204 {
        let media = answer.header("content-type").split(';').next().unwrap();
        let content = &documented["content"][media];
        assert!(content.is_object(), "{method} {path} {status}: {media} is not documented");
        if media.ends_with("json") {
            let mut wrong = Vec::new();
            check(&document, &content["schema"], &answer.json(), path, &mut wrong);
            assert!(wrong.is_empty(), "{method} {path} {status}\n{}", wrong.join("\n"));
        }
    }
    for (name, header) in documented["headers"].as_object().into_iter().flatten() {
        assert!(header["required"] != true || !answer.header(&name.to_lowercase()).is_empty(), "{name} is missing");
    }
    seen.insert((method.to_owned(), path.to_owned(), status));
}

#[tokio::test]
async fn every_route_answers_as_it_is_documented() {
    let place = Place::new();
    let repo = place.repository("repo");
    place.agent("sleeper", "");
    let runner = place.runner();
    let mut seen = BTreeSet::new();
    let stream = "Accept: text/event-stream\r\n";
    let slow = "POST /review HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{";
    let late = runner.raw(slow.as_bytes());

    let body = json!({"path": repo, "range": "HEAD"}).to_string();
    let events = runner.ask("POST", "/review", stream, &body).await;
    answered(&mut seen, "post", "/review", &events);
    for line in events.body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        assert_valid("JobEvent", &serde_json::from_str(line).unwrap());
    }
    let ended = runner.get("/jobs").await.json()[0]["id"].as_str().unwrap().to_owned();
    let queued = runner.post(&json!({"agent": "sleeper", "pr": 42})).await;
    answered(&mut seen, "post", "/review", &queued);
    let queued = queued.json()["id"].as_str().unwrap().to_owned();
    for (body, headers) in [("{", ""), ("[]", ""), (r#"{"pr":1,"staged":true}"#, "")] {
        answered(&mut seen, "post", "/review", &runner.ask("POST", "/review", headers, body).await);
    }
    let large = format!("POST /review HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 2 << 20);
    answered(&mut seen, "post", "/review", &Answer::read(&runner.raw(large.as_bytes()).await));
    for query in ["", "?limit=1", "?agent=sleeper", "?limit=0", "?repo=a/b"] {
        answered(&mut seen, "get", "/jobs", &runner.get(&format!("/jobs{query}")).await);
    }
    for id in [&ended, &queued, "none"] {
        answered(&mut seen, "get", "/jobs/{id}", &runner.get(&format!("/jobs/{id}")).await);
    }
    assert!(runner.get(&format!("/jobs/{ended}")).await.json()["review"]["receipt"]["cage"].is_object());
    for id in [&queued, &ended, "none"] {
        answered(&mut seen, "delete", "/jobs/{id}", &runner.ask("DELETE", &format!("/jobs/{id}"), "", "").await);
    }
    let path = "/jobs/{id}/events";
    answered(&mut seen, "get", path, &runner.get(&format!("/jobs/{ended}/events")).await);
    answered(&mut seen, "get", path, &runner.get("/jobs/none/events").await);
    let again = runner.ask("GET", &format!("/jobs/{ended}/events"), "Last-Event-ID: 1000\r\n", "").await;
    answered(&mut seen, "get", path, &again);
    let odd = runner.ask("GET", &format!("/jobs/{ended}/events"), "Last-Event-ID: 9223372036854775808\r\n", "").await;
    answered(&mut seen, "get", path, &odd);
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        answered(&mut seen, "get", path, &runner.get(path).await);
    }
    assert_eq!(runner.get("/openapi.json").await.json(), document());
    place.config("[review]\nengine = \"claud\"\n");
    answered(&mut seen, "post", "/review", &runner.post(&json!({"pr": 1})).await);

    // A job that runs.
    place.config("[review]\nengine = \"command\"\n[engine.command]\nargv = [\"/bin/sleep\", \"600\"]\n");
    let job = runner.post(&json!({"path": repo, "range": "HEAD"})).await.json()["id"].as_str().unwrap().to_owned();
    while runner.get(&format!("/jobs/{job}")).await.json()["state"] != "running" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    answered(&mut seen, "delete", "/jobs/{id}", &runner.ask("DELETE", &format!("/jobs/{job}"), "", "").await);
    answered(&mut seen, "post", "/review", &Answer::read(&late.await));
    runner.stop().await;

    // Every documented status was seen, but for those that need a broken store, a full disk or a lucky moment.
    let mut unseen = Vec::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap().iter().filter(|(method, _)| *method != "parameters") {
            for status in operation["responses"].as_object().unwrap().keys() {
                let lucky = matches!(status.as_str(), "503" | "507") || (status == "500" && path != "/review");
                if !lucky && !seen.contains(&(method.clone(), path.clone(), status.clone())) {
                    unseen.push(format!("{method} {path} {status}"));
                }
            }
        }
    }
    assert!(unseen.is_empty(), "documented and never seen: {unseen:?}");
}

#[test]
fn the_document_is_of_this_version_and_its_references_lead_somewhere() {
    let document = document();
    assert_eq!(
        (&document["openapi"], &document["info"]["version"]),
        (&json!("3.1.0"), &json!(env!("CARGO_PKG_VERSION")))
    );
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(object) => {
                resolved(document, value);
                object.values().for_each(|value| walk(document, value));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    walk(&document, &document);
    let outcomes: Vec<&str> = cicdctl::review::Outcome::ALL.into_iter().map(|outcome| outcome.as_str()).collect();
    assert_eq!(document["components"]["schemas"]["Outcome"]["enum"], json!(outcomes));
    assert_valid("Problem", &json!({"type": "about:blank", "title": "t", "status": 404, "detail": "d"}));
}
