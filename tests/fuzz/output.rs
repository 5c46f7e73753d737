//! What engines write: the events of `claude`, findings of a `command`, SARIF.

use std::path::Path;

use cicdctl::engine::claude::stream::Stream;
use cicdctl::engine::process::End;
use cicdctl::engine::{command, sarif};
use cicdctl::finding::Severity;

use crate::run::{Target, deep, long, many, run};

const ENDS: [End; 4] = [End::Exited(0), End::Exited(1), End::Signalled(9), End::Stopped];
const FINDING: &str = r#"{"path":"src/a.rs","start_line":2,"end_line":3,"severity":"high","category":"security","title":"t","explanation":"e","suggestion":"s","confidence":0.5}"#;
const SARIF: &str = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint","semanticVersion":"1.0","rules":[{"id":"r1","shortDescription":{"text":"d"},"fullDescription":{"text":"f"},"helpUri":"https://x","properties":{"security-severity":"9.1"},"defaultConfiguration":{"level":"error"},"messageStrings":{"default":{"text":"{0} of {1}"}}}]}},
    "originalUriBaseIds":{"SRCROOT":{"uri":"file:///repo/"}},"invocations":[{"executionSuccessful":true}],
    "results":[{"ruleId":"r1","ruleIndex":0,"level":"error","kind":"fail","message":{"id":"default","arguments":["a","b"]},"baselineState":"new","suppressions":[],
    "locations":[{"physicalLocation":{"artifactLocation":{"uri":"src/a%20b.rs","uriBaseId":"SRCROOT"},"region":{"startLine":3,"endLine":4,"startColumn":1}}}],"fixes":[{"description":{"text":"x"}}]}]}]}"#;

fn transcripts() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/claude/transcripts");
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|end| end == "jsonl"));
    paths.iter().map(|path| std::fs::read(path).unwrap()).filter(|text| text.len() < 64 << 10).collect()
}

/// The last run of the lines is what the review stands on: no report without a result that says so.
#[test]
fn stream_json() {
    let mut giants = vec![
        deep("", "[", "", "]"),
        deep("{\"type\":\"result\",\"structured_output\":", "[", "", "]}"),
        deep("{\"type\":\"assistant\",\"message\":", "{\"a\":", "1", "}}"),
        long("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"", "long ", "\"}]}}"),
        long("", "a", ""),
        many(100_000, |n| {
            format!(
                "{{\"type\":\"assistant\",\"message\":{{\"id\":\"{n}\",\"usage\":{{\"input_tokens\":18446744073709551615}}}}}}\n"
            )
        }),
        many(500_000, |_| "x\n".into()),
        many(50_000, |_| "{\"type\":\"system\",\"subtype\":\"model_fallback\"}\n".into()),
    ];
    let whole = |findings: &str| {
        format!("{{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"structured_output\":{{\"summary\":\"s\",\"findings\":[{findings}]}}}}\n").into_bytes()
    };
    giants.push(whole(&vec![FINDING; 30_000].join(",")));
    giants.push(whole(&vec!["{}"; 200_000].join(",")));
    let target = Target {
        name: "claude stream-json",
        mixed: false,
        cases: 1500,
        samples: transcripts(),
        words: &[
            "\"is_error\":false",
            "\"is_error\":true",
            "\"subtype\":\"success\"",
            "\"type\":\"result\"",
            "\"api_error_status\":529",
            "\"resetsAt\":18446744073709551615",
            "\"retry_delay_ms\":1e300",
            "\"total_cost_usd\":-1",
            "\"total_cost_usd\":1e308",
            "structured_output",
            "rate_limit_event",
            "api_retry",
        ],
        giants,
    };
    let mut turn = 0usize;
    run(&target, |case| {
        turn += 1;
        let end = ENDS[turn % ENDS.len()];
        let mut heard = 0usize;
        let listen = |plain: bool| {
            let mut stream = Stream::new(Path::new("/repo"), None);
            for line in case.split(|byte| *byte == b'\n') {
                if stream.line(line, &mut |_| heard += 1).is_break() {
                    break;
                }
            }
            let _ = stream.trouble(end, "No conversation found");
            if plain {
                stream.plain_outcome(end, "", 1).map(drop)
            } else {
                stream.outcome(end, "", u64::MAX).map(|report| {
                    assert!(end == End::Exited(0), "a report though it ended with {end:?}");
                    assert!(
                        report
                            .drafts
                            .iter()
                            .all(|draft| !draft.title.is_empty() && !Path::new(&draft.path).is_absolute())
                    );
                    assert!(report.drafts.iter().all(|draft| draft.severity >= Severity::Info));
                })
            }
        };
        let mut listen = listen;
        let report = listen(false).is_ok();
        let _ = listen(true);
        report || heard > 0 || turn < 100
    });
}

#[test]
fn findings_of_a_command() {
    let object = format!(r#"{{"findings":[{FINDING},{FINDING}],"summary":"s","incomplete":null}}"#);
    let target = Target {
        name: "findings of a command",
        mixed: false,
        cases: 3000,
        samples: vec![object.into(), format!("[{FINDING}]").into(), "[]".into(), SARIF.into()],
        words: &[
            "\"start_line\":0",
            "\"end_line\":1",
            "\"confidence\":2",
            "../",
            "/etc/passwd",
            "\"findings\":",
            "\"runs\":[]",
            "critical",
            "info",
        ],
        giants: vec![
            deep("", "[", "", "]"),
            deep("{\"findings\":", "[", "", "]}"),
            deep("{\"a\":", "{\"a\":", "1", "}}"),
            long("[{\"path\":\"", "a/", "\"}]"),
            format!("[{}]", vec![FINDING; 30_000].join(",")).into_bytes(),
            format!("[{}]", vec!["1"; 500_000].join(",")).into_bytes(),
        ],
    };
    run(&target, |case| {
        let Ok(report) = command::outcome("lint", End::Exited(0), case, "", Path::new("/repo")) else { return false };
        for draft in &report.drafts {
            assert!(!draft.path.is_empty() && !draft.path.split('/').any(|part| part == ".."), "{}", draft.path);
            assert!((0.0..=1.0).contains(&draft.confidence) && !draft.title.is_empty());
        }
        true
    });
}

#[test]
fn sarif_logs() {
    let target = Target {
        name: "SARIF",
        mixed: false,
        cases: 3000,
        samples: vec![SARIF.into(), r#"{"version":"2.1.0","runs":[]}"#.into()],
        words: &[
            "\"uriBaseId\":\"SRCROOT\"",
            "\"index\":-1",
            "\"ruleIndex\":4294967295",
            "%zz",
            "%",
            "file://",
            "{0}",
            "{99999999999}",
            "{{",
            "\"arguments\":[]",
            "\"startLine\":0",
        ],
        giants: vec![
            deep("", "[", "", "]"),
            deep("{\"version\":\"2.1.0\",\"runs\":", "[", "", "]}"),
            deep("{\"version\":\"2.1.0\",\"x\":", "{\"a\":", "1", "}}"),
            SARIF
                .replace("{0} of {1}", &"{0}".repeat(100_000))
                .replace("\"a\",\"b\"", &format!("\"{}\"", "long".repeat(100)))
                .into_bytes(),
            SARIF.replace("src/a%20b.rs", &"%41".repeat(1 << 20)).into_bytes(),
            // As many bases as there may be, each said to lie in the other.
            SARIF
                .replace(
                    r#""SRCROOT":{"uri":"file:///repo/"}"#,
                    r#""SRCROOT":{"uri":"a/","uriBaseId":"B"},"B":{"uri":"b/","uriBaseId":"SRCROOT"}"#,
                )
                .into_bytes(),
        ],
    };
    run(&target, |case| sarif::drafts_from_sarif(&String::from_utf8_lossy(case)).is_ok());
}
