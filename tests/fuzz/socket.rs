//! Bytes at the runner's socket: it answers or closes, and is there afterwards.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::run::{Target, cases, deep, long, many, run};
use crate::support::Place;

/// How long an answer is waited for.
const SILENCE: Duration = Duration::from_millis(25);

fn request(head: &str, body: &str) -> Vec<u8> {
    format!(
        "{head}\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[test]
fn http() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = Place::in_memory();
    // Nothing is started: a job that a case makes waits.
    place.config("[runner]\njobs = 1\n");
    let runner = runtime.block_on(async { place.runner() });
    let bodies = [
        r#"{"path":"/nonexistent","range":"HEAD~1..HEAD"}"#,
        r#"{"pr":"42","head":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","repo":"acme/shop","post":false}"#,
        r#"{"agent":"x","pr":42}"#,
        "[]",
    ];
    let mut samples: Vec<Vec<u8>> = bodies.iter().map(|body| request("POST /review HTTP/1.1", body)).collect();
    for head in [
        "GET /healthz HTTP/1.1",
        "GET /jobs?agent=x&limit=3 HTTP/1.1",
        "GET /jobs/01JABC HTTP/1.1",
        "DELETE /jobs/01JABC HTTP/1.1",
        "GET /jobs/01JABC/events HTTP/1.1",
        "GET /metrics HTTP/1.0",
        "HEAD /openapi.json HTTP/1.1",
        "POST /review HTTP/1.1\r\nTransfer-Encoding: chunked",
        "GET /nothing HTTP/1.1",
    ] {
        samples.push(format!("{head}\r\nHost: localhost\r\n\r\n").into_bytes());
    }
    let target = Target {
        name: "HTTP",
        mixed: true,
        cases: 500,
        samples,
        words: &[
            "\r\n",
            "\r\n\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Content-Length: -1\r\n",
            "Expect: 100-continue\r\n",
            "Upgrade: h2c\r\n",
            "0\r\n\r\n",
            "ffffffffffffffff\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET ",
            "POST /review",
            "/jobs/",
            "%00",
            "%2e%2e/",
            "?limit=99999999999999999999",
            "Accept: text/event-stream\r\n",
            "Last-Event-ID: -1\r\n",
            "\"pr\":",
            "\"head\":\"HEAD\"",
        ],
        giants: vec![
            long("GET /", "a", " HTTP/1.1\r\n\r\n"),
            long("GET / HTTP/1.1\r\nX: ", "a", "\r\n\r\n"),
            many(200_000, |n| if n == 0 { "GET / HTTP/1.1\r\n".into() } else { format!("X{n}: a\r\n") }),
            many(2_000, |_| "GET /healthz HTTP/1.1\r\n\r\n".into()),
            request("POST /review HTTP/1.1", &String::from_utf8(deep("", "[", "", "]")).unwrap()),
            request("POST /review HTTP/1.1", &String::from_utf8(deep("{\"pr\":", "{\"a\":", "1", "}}")).unwrap()),
            request("POST /review HTTP/1.1", &format!("{{\"range\":\"{}\"}}", "x".repeat(900 << 10))),
            request("POST /review HTTP/1.1", &"x".repeat(3 << 20)),
        ],
    };
    let mut number = 0;
    run(&target, |case| {
        number += 1;
        let answer = runtime.block_on(async {
            let stream = UnixStream::connect(&runner.socket).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            let mut answer = Vec::new();
            let send = async {
                let _ = write.write_all(case).await;
            };
            // A connection that stays open says nothing more, and who has not sent a whole request hears nothing.
            let receive = async {
                let mut piece = vec![0; 64 << 10];
                while let Ok(Ok(length @ 1..)) = tokio::time::timeout(SILENCE, read.read(&mut piece)).await {
                    answer.extend_from_slice(&piece[..length]);
                }
            };
            let talk = async {
                tokio::pin!(send, receive);
                tokio::select! {
                    () = &mut receive => {}
                    () = &mut send => receive.await,
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(20), talk).await;
            answer
        });
        let known = answer.is_empty() || answer.starts_with(b"HTTP/1.");
        assert!(known, "{}", String::from_utf8_lossy(&answer[..answer.len().min(200)]));
        assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
        if number % 100 == 0 {
            let healthy = runtime.block_on(runner.get("/healthz"));
            assert_eq!(healthy.status, 200);
        }
        !answer.is_empty()
    });
    runtime.block_on(async {
        assert_eq!(runner.get("/healthz").await.status, 200, "after {} cases", cases(500));
        runner.stop().await;
    });
}
