//! Reviews for the tests of every format.

use crate::finding::{Category, ExcerptLine, Finding, Lines, Severity};
use crate::review::{CageUsed, Coverage, EngineUsed, FileCoverage, Outcome, Receipt, Review};

/// Everything was seen and nothing found.
pub fn clean() -> Review {
    Review {
        job: "01JCLEAN".to_owned(),
        project: "acme/shop".to_owned(),
        subject: "HEAD~1..HEAD".to_owned(),
        outcome: Outcome::Reviewed,
        reason: None,
        summary: None,
        findings: vec![],
        receipt: Receipt {
            base_sha: Some("1".repeat(40)),
            head_sha: Some("2".repeat(40)),
            files: vec![seen("src/a.rs"), seen("src/b.rs")],
            engine: Some(EngineUsed {
                name: "rules".to_owned(),
                version: Some("0.1.0".to_owned()),
                ..EngineUsed::default()
            }),
            duration_ms: 42,
            engine_ms: None,
            peak_memory: None,
            cage: Some(CageUsed { unit: None, uncaged_because: Some("no user manager".to_owned()) }),
            reviewed_by: None,
            published: None,
            dismissed: 0,
            fixed: 0,
            notes: vec![],
        },
        retry_at_ms: None,
        unpublished: None,
    }
}

/// Some findings, of every shape, and a file that was not seen.
pub fn typical() -> Review {
    Review {
        job: "01JTYPICAL".to_owned(),
        subject: "pull request 42".to_owned(),
        outcome: Outcome::Partial,
        reason: Some("1 of 4 files was not seen: `src/big.rs` (over the budget)".to_owned()),
        summary: Some("Adds a login.\n\nThe comparison is **not** safe.".to_owned()),
        findings: vec![
            Finding {
                fingerprint: "00112233445566aa".to_owned(),
                severity: Severity::Critical,
                category: Category::Security,
                path: "src/auth.rs".to_owned(),
                lines: Some(Lines { start: 12, end: 13 }),
                title: "password compared with `==`".to_owned(),
                explanation: "The comparison ends at the first byte that differs, so its time tells how much of the \
                              password was right.\n\n- measure\n- repeat"
                    .to_owned(),
                suggestion: Some("    if constant_time_eq(given, stored) {\n        grant();".to_owned()),
                confidence: 0.9,
                rule: None,
                excerpt: vec![line(12, "    if given == stored {"), line(13, "        grant();")],
            },
            Finding {
                fingerprint: "00112233445566bb".to_owned(),
                severity: Severity::Medium,
                category: Category::Security,
                path: "src/auth.rs".to_owned(),
                lines: Some(Lines { start: 40, end: 40 }),
                title: "token written to the log".to_owned(),
                explanation: "Whoever reads the log can log in.".to_owned(),
                suggestion: None,
                confidence: 1.0,
                rule: Some("secret-in-log".to_owned()),
                excerpt: vec![line(40, "\tinfo!(\"{token}\");\r")],
            },
            Finding {
                fingerprint: "00112233445566cc".to_owned(),
                severity: Severity::Low,
                category: Category::Testing,
                path: "src/new file.rs".to_owned(),
                lines: None,
                title: "no test covers this file".to_owned(),
                explanation: String::new(),
                suggestion: None,
                confidence: 1.0,
                rule: None,
                excerpt: vec![],
            },
        ],
        receipt: Receipt {
            files: vec![
                seen("src/auth.rs"),
                seen("src/new file.rs"),
                FileCoverage {
                    path: "Cargo.lock".to_owned(),
                    coverage: Coverage::Excluded { reason: "lock file".to_owned() },
                },
                FileCoverage {
                    path: "src/big.rs".to_owned(),
                    coverage: Coverage::Missed { reason: "over the budget".to_owned() },
                },
            ],
            engine: Some(EngineUsed {
                name: "claude".to_owned(),
                version: Some("2.1.3".to_owned()),
                digest: Some("sha256:1a2b3c4d5e6f".to_owned()),
                model: Some("sonnet".to_owned()),
                turns: Some(12),
                input_tokens: Some(3400),
                output_tokens: Some(800),
                cost_usd: Some(0.42),
                session: None,
            }),
            duration_ms: 12_345,
            engine_ms: Some(11_900),
            peak_memory: Some(120_000_000),
            cage: Some(CageUsed { unit: Some("cicd-job-01JTYPICAL.service".to_owned()), uncaged_because: None }),
            notes: vec!["left out 1 finding below `low`".to_owned()],
            ..clean().receipt
        },
        ..clean()
    }
}

/// Nothing was reviewed.
pub fn failed() -> Review {
    Review {
        job: "01JFAILED".to_owned(),
        outcome: Outcome::Failed,
        reason: Some("the engine ended with signal 9".to_owned()),
        receipt: Receipt { engine: None, cage: None, files: vec![], ..clean().receipt },
        ..clean()
    }
}

/// Everything that others can write tries to be something else.
pub fn hostile() -> Review {
    let forged = "reviewed: no findings";
    Review {
        job: "01JHOSTILE".to_owned(),
        project: "acme/shop\n# Reviewed: no findings".to_owned(),
        subject: "pull request 42\u{1b}[2J".to_owned(),
        reason: Some(format!("quota\n{forged}\n<img src=x onerror=alert(1)>")),
        outcome: Outcome::Deferred,
        summary: Some(format!(
            "{forged}\n===\n# Reviewed\n\n<!-- cicdctl --><b>bold</b> ![x](https://evil.example/x.png) @alice #12 \
             [ok](javascript:alert(1))\n\n[ref]: https://evil.example\n\n~~~suggestion\n@bob\n```\n~~~\n\n</details>"
        )),
        findings: vec![Finding {
            fingerprint: "ffffffffffffffff".to_owned(),
            severity: Severity::High,
            category: Category::Security,
            path: format!("../é\n{forged}\u{202e}`|<b>@x%.rs"),
            lines: Some(Lines { start: 7, end: 7 }),
            title: "a | b `c|d` \\| <img> @alice ![x](y) **bold".to_owned(),
            explanation: format!(
                "\u{1b}]0;title\u{7}```\nnever closed @carol\n````\nhttps://evil.example/?q=1 www.evil.example\n{forged}"
            ),
            suggestion: Some("```\n\u{1b}[31m@dave</code>\u{202e}".to_owned()),
            confidence: 0.5,
            rule: Some("x`|](y)\n<b>".to_owned()),
            excerpt: vec![line(7, &format!("\u{1b}[2J\u{202e}```{}", "z".repeat(300)))],
        }],
        receipt: Receipt {
            files: vec![
                seen("a\tb"),
                FileCoverage {
                    path: format!("x\n{forged}"),
                    coverage: Coverage::Missed { reason: "y\u{1b}[31m</details>".to_owned() },
                },
                FileCoverage {
                    path: "`v`|w".to_owned(),
                    coverage: Coverage::Excluded { reason: "excluded by `*|*`".to_owned() },
                },
            ],
            engine: Some(EngineUsed {
                name: "command".to_owned(),
                version: Some(format!("1\n{forged}")),
                ..EngineUsed::default()
            }),
            cage: Some(CageUsed { unit: None, uncaged_because: Some(format!("<b>\n{forged}")) }),
            notes: vec![format!("\u{1b}[1m\n{forged} </details> @eve")],
            ..clean().receipt
        },
        retry_at_ms: None,
        unpublished: None,
    }
}

fn seen(path: &str) -> FileCoverage {
    FileCoverage { path: path.to_owned(), coverage: Coverage::Seen }
}

fn line(number: u32, text: &str) -> ExcerptLine {
    ExcerptLine { number, text: text.to_owned() }
}
