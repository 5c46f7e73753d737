//! Answers of a forge that is not what it should be: an error or sound values, never a panic.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cicdctl::forge::github::GitHub;
use cicdctl::forge::{Forge, Token};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::run::{Target, deep, long, run};

const PULL: &str = r#"{"number":42,"title":"t","draft":false,"state":"open","user":{"id":1,"login":"carol","type":"User"},"head":{"sha":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","ref":"x","repo":{"id":7,"full_name":"acme/shop"}},"base":{"ref":"main","sha":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","repo":{"id":7,"full_name":"acme/shop"}},"labels":[{"name":"cicd-review"}],"changed_files":2,"updated_at":"2026-11-26T06:00:00Z"}"#;
const COMMENTS: &str = r#"[{"id":5,"user":{"id":1,"login":"carol","type":"User"},"body":"/review full","created_at":"2026-11-26T06:00:00Z","updated_at":"2026-11-26T06:00:00Z","path":"src/a.rs","line":3,"in_reply_to_id":null},
    {"id":6,"user":{"id":9,"login":"x[bot]","type":"Bot"},"body":"<!-- cicdctl:finding:3f8a21 -->","created_at":"2026-11-26T06:00:00Z","path":"src/a.rs","line":null,"in_reply_to_id":5}]"#;

#[test]
fn github() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let body: Arc<Mutex<Bytes>> = Arc::default();
    let url = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = body.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let body = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |_: Request<hyper::body::Incoming>| {
                        let answer =
                            Response::builder().header("content-type", "application/json").header("etag", "\"x\"");
                        let answer = answer.body(Full::new(body.lock().unwrap().clone())).unwrap();
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        url
    });
    let threads = r#"{"data":{"repository":{"pullRequest":{"reviewThreads":{"pageInfo":{"hasNextPage":false,"endCursor":null},"nodes":[{"isResolved":true,"resolvedBy":{"login":"carol"},"comments":{"nodes":[{"fullDatabaseId":"6"}]}}]}}}}}"#;
    let target = Target {
        name: "answers of GitHub",
        mixed: true,
        cases: 500,
        samples: vec![
            PULL.into(),
            format!("[{PULL},{PULL}]").into(),
            COMMENTS.into(),
            r#"{"permission":"write"}"#.into(),
            threads.into(),
            r#"{"id":1,"login":"me","type":"User"}"#.into(),
        ],
        words: &[
            "null",
            "\"repo\":null",
            "\"sha\":\"HEAD\"",
            "../..",
            "\"updated_at\":\"9999-12-31T23:59:59Z\"",
            "-0001-01-01T00:00:00Z",
            "<!-- cicdctl",
            "-->",
            "/review",
            "\"in_reply_to_id\":6",
            "\"type\":\"Bot\"",
        ],
        giants: vec![
            deep("", "[", "", "]"),
            deep("{\"user\":", "{\"a\":", "1", "}}"),
            long("{\"title\":\"", "long ", "\"}"),
            format!("[{}]", vec![PULL; 2000].join(",")).into_bytes(),
            // More than is read of any answer.
            vec![b' '; 40 << 20],
        ],
    };
    run(&target, |case| {
        *body.lock().unwrap() = Bytes::copy_from_slice(case);
        runtime.block_on(async {
            let github =
                GitHub::new(url.parse().unwrap(), "acme/shop".into(), Token::new("ghs_canary").unwrap()).unwrap();
            let mut read = false;
            let ask = async {
                match github.pull_request(42).await {
                    Ok(pull) => {
                        let sha = |sha: &str| sha.len() >= 40 && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
                        assert!(sha(&pull.head_sha) && sha(&pull.base_sha), "{pull:?}");
                        read = true;
                    }
                    Err(error) => assert!(!error.to_string().contains("canary"), "{error}"),
                }
                read |= github.open_pull_requests(None).await.is_ok();
                read |= github.permission("carol").await.is_ok();
                read |= github.comments(42, None).await.is_ok();
                read |= github.conversation(42).await.is_ok();
            };
            tokio::time::timeout(Duration::from_secs(60), ask).await.expect("an answer that is waited for");
            read
        })
    });
}
