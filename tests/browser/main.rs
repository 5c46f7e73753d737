//! The HTML report in a browser: whatever stands in the change and comes from the engine, no script of it runs and nothing
//! is asked of any host. The same look at the same texts without our care sees both, so it would not be missed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cicdctl::finding::{Category, ExcerptLine, Finding, Lines, Severity};
use cicdctl::report::html;
use cicdctl::review::{Coverage, EngineUsed, FileCoverage, Outcome, Published, Receipt, Review};

/// What a page shows that a script has changed.
const RAN: &str = "a-script-ran";

/// Attempts, each of another kind; `PORT` is where somebody listens.
const ATTEMPTS: [&str; 12] = [
    "<script>document.documentElement.className='a-script-ran'</script>",
    "<img src=x onerror=\"document.documentElement.className='a-script-ran'\">",
    "<svg onload=\"document.documentElement.className='a-script-ran'\"></svg>",
    "</pre></details></style><script>document.documentElement.className='a-script-ran'</script>",
    "<img src=\"http://127.0.0.1:PORT/pixel.png\">",
    "<link rel=stylesheet href=\"http://127.0.0.1:PORT/style.css\">",
    "<iframe src=\"http://127.0.0.1:PORT/frame\"></iframe>",
    "<meta http-equiv=refresh content=\"0;url=http://127.0.0.1:PORT/away\">",
    "<base href=\"http://127.0.0.1:PORT/\"><script src=\"x.js\"></script>",
    "<style>@import url(http://127.0.0.1:PORT/import.css);</style>",
    "[click](javascript:document.documentElement.className='a-script-ran') {{ 7*7 }} ${7*7} <!--",
    "\u{202e}\u{2066}gnp.exe\u{2069}\u{1b}]0;title\u{7}\u{0}",
];

fn attempts(port: u16) -> Vec<String> {
    ATTEMPTS.iter().map(|text| text.replace("PORT", &port.to_string())).collect()
}

/// 200 findings, every text of them an attempt.
fn hostile(port: u16) -> Review {
    let texts = attempts(port);
    let text = |number: usize| texts[number % texts.len()].clone();
    let long = "A".repeat(10 << 20);
    let finding = |number: usize| Finding {
        fingerprint: format!("{number:016x}"),
        severity: Severity::ALL[number % Severity::ALL.len()],
        category: Category::ALL[number % Category::ALL.len()],
        path: format!("src/{}", text(number)),
        lines: Some(Lines { start: 7, end: 8 }),
        title: format!("{number}: {}", text(number + 1)),
        explanation: format!("{}\n\n{}", text(number + 2), text(number + 3)),
        suggestion: number.is_multiple_of(2).then(|| text(number + 4)),
        confidence: 0.5,
        rule: Some(text(number + 5)),
        excerpt: vec![
            ExcerptLine { number: 7, text: text(number + 6) },
            ExcerptLine { number: 8, text: if number == 0 { long.clone() } else { text(number + 7) } },
        ],
    };
    let file = |number: usize| FileCoverage {
        path: text(number),
        coverage: match number % 2 {
            0 => Coverage::Seen,
            _ => Coverage::Missed { reason: text(number + 1) },
        },
    };
    Review {
        job: text(0),
        project: text(1),
        subject: text(2),
        outcome: Outcome::Partial,
        reason: Some(text(3)),
        summary: Some(texts.join("\n")),
        findings: (0..200).map(finding).collect(),
        receipt: Receipt {
            base_sha: Some(text(4)),
            head_sha: Some(text(5)),
            files: (0..24).map(file).collect(),
            engine: Some(EngineUsed {
                name: text(6),
                version: Some(text(7)),
                model: Some(text(8)),
                ..EngineUsed::default()
            }),
            published: Some(Published {
                summary_url: Some("javascript:document.documentElement.className='a-script-ran'".into()),
                review_url: Some(format!("https://127.0.0.1:{port}/\"onmouseover=\"x")),
                ..Published::default()
            }),
            notes: texts.clone(),
            ..Receipt::default()
        },
        retry_at_ms: None,
        unpublished: None,
    }
}

/// The page after the browser is done with it, and how many connections were made meanwhile.
fn looked_at(listener: &TcpListener, page: &str, dir: &Path, screenshot: Option<&str>) -> (String, usize) {
    let file = dir.join("page.html");
    std::fs::write(&file, page).unwrap();
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    listener.set_nonblocking(true).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((mut stream, _)) => {
                        asked.fetch_add(1, Ordering::SeqCst);
                        let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                        let _ = stream.read(&mut [0; 4096]);
                        let _ = stream
                            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        let run = |last: &str| {
            let output = Command::new("chromium")
                .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
                .args(["--disable-background-networking", "--disable-component-update", "--virtual-time-budget=3000"])
                .args(["--window-size=1000,1400", &format!("--user-data-dir={}", dir.join("profile").display()), last])
                .arg(format!("file://{}", file.display()))
                .output()
                .expect("chromium is not installed; `tests/run` installs it");
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let shown = run("--dump-dom");
        if let Some(name) = screenshot {
            run(&format!("--screenshot={name}"));
        }
        done.store(true, Ordering::SeqCst);
        (shown, asked.load(Ordering::SeqCst))
    })
}

#[test]
fn nothing_of_a_hostile_review_runs_or_loads() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    // The look itself: of a page that takes the texts as they are, but for what would lead away from it.
    let planted = format!("<!doctype html><title>x</title>{}", attempts(port)[..7].concat());
    let (shown, asked) = looked_at(&listener, &planted, dir.path(), None);
    assert!(shown.contains(&format!("class=\"{RAN}\"")), "{shown}");
    assert!(asked > 0);
    // And of one whose only care is our policy: a script in it is refused.
    let page = html::render(&hostile(port), None);
    let careless = page.replace("<h1>", &format!("{}<h1>", attempts(port)[0]));
    assert_ne!(careless, page);
    let (shown, _) = looked_at(&listener, &careless, dir.path(), None);
    assert!(shown.contains("documentElement.className") && !shown.contains(&format!("class=\"{RAN}\"")));

    let screenshot = std::env::var("CICDCTL_TEST_SCREENSHOT").ok();
    let (shown, asked) = looked_at(&listener, &page, dir.path(), screenshot.as_deref());
    assert!(!shown.contains(&format!("class=\"{RAN}\"")));
    assert_eq!(asked, 0, "requests");
    // It was there, whole: each finding, in the table and in full; and the style was let in by the policy's hash.
    assert_eq!(
        (shown.matches("<tr><td><span class=\"severity").count(), shown.matches("<details class=\"finding\"").count()),
        (200, 200)
    );
    assert_eq!(
        (shown.matches("<script").count(), shown.matches("<img").count(), shown.matches("<iframe").count()),
        (0, 0, 0)
    );
    assert!(shown.contains("more characters"));
    println!("200 findings, {} kB: 0 scripts ran, {asked} requests", page.len() / 1000);
}
