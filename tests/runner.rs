//! The runner in this process: its routes, its queue and its end, over a socket in a temporary directory.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use cicdctl::api::{Happening, JobState, ReviewRequest, Stage};
use cicdctl::review::Outcome;
use cicdctl::runner::Scope;
use serde_json::json;
use support::{Answer, Place};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn local(path: &std::path::Path, range: &str) -> ReviewRequest {
    ReviewRequest { path: Some(path.to_owned()), range: Some(range.to_owned()), ..Default::default() }
}

/// An engine that never ends by itself.
const SLOW: &str = "[review]\nengine = \"command\"\n[engine.command]\nargv = [\"/bin/sh\", \"-c\", \"sleep 600\"]\n";

async fn until_running(runner: &support::Runner, id: &str) {
    let began = Instant::now();
    loop {
        let events = runner.shared.store.events(id, 0).await.unwrap();
        if events.iter().any(|event| matches!(event.what, Happening::Engine { .. })) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{events:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_review_is_accepted_with_its_place_and_ends_with_a_receipt() {
    let place = Place::new();
    let repo = place.repository("repo");
    let runner = place.runner();
    let answer = runner.post(&json!({"path": repo, "range": "HEAD"})).await;
    let job = answer.json();
    let id = job["id"].as_str().unwrap().to_owned();
    assert_eq!((answer.status, answer.header("content-type")), (202, "application/json"));
    assert_eq!(answer.header("location"), format!("/jobs/{id}"));
    assert_eq!((job["state"].as_str(), id.len()), (Some("queued"), 26));

    let mut told = Vec::new();
    let ended = runner.client().follow(&id, true, &mut |event| told.push(event.clone())).await.unwrap();
    let review = ended.review.unwrap();
    assert_eq!((ended.state, ended.outcome, ended.attempts), (JobState::Ended, Some(Outcome::Reviewed), 1));
    assert_eq!(review.findings.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["app.py"]);
    assert_eq!(review.receipt.seen(), 1);
    let cage = review.receipt.cage.unwrap();
    assert_eq!((cage.unit, cage.uncaged_because.as_deref()), (None, Some("this is a test")));
    // Once its end is written down, which is what we have waited for.
    let (dir, began) = (place.path(&format!("state/workspace/{id}")), Instant::now());
    while dir.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "the workspace is cleaned");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let seqs: Vec<u64> = told.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!(told[0].what, Happening::Accepted);
    assert_eq!(told[1].what, Happening::Started { attempt: 1 });
    let stages: Vec<Stage> = told
        .iter()
        .filter_map(|event| match &event.what {
            Happening::Stage { stage, .. } => Some(*stage),
            _ => None,
        })
        .collect();
    assert_eq!(stages, [Stage::Fetch, Stage::Plan, Stage::Engine, Stage::Judge]);
    assert_eq!(told.last().unwrap().what, Happening::Ended { outcome: Outcome::Reviewed, reason: None });
    runner.stop().await;
}

#[tokio::test]
async fn the_engine_command_gets_the_checkout_and_its_failure_is_no_pass() {
    let place = Place::new();
    let repo = place.repository("repo");
    let engine = |script: &str| {
        let argv = json!(["/bin/sh", "-c", script]);
        place.config(&format!("[review]\nengine = \"command\"\n[engine.command]\nargv = {argv}\n"));
    };
    let runner = place.runner();
    let review = async || {
        let job = runner.client().review(&local(&repo, "HEAD")).await.unwrap();
        runner.client().follow(&job.id, false, &mut |_| {}).await.unwrap()
    };
    engine(
        r#"test -f app.py -a -f README && printf '{"findings":[{"path":"app.py","start_line":2,"severity":"low","category":"other","title":"seen","explanation":"e"}],"summary":"all of it"}'"#,
    );
    let good = review().await.review.unwrap();
    assert_eq!((good.outcome, good.summary.as_deref()), (Outcome::Reviewed, Some("all of it")));
    assert_eq!(good.findings[0].lines.unwrap().start, 2);
    for (script, outcome, words) in [
        ("exit 3", Outcome::Failed, "exit status 3"),
        ("exit 75", Outcome::Deferred, "tried again later"),
        ("exit 77", Outcome::Failed, "no valid credentials"),
        ("kill -9 $$", Outcome::Failed, "killed by SIGKILL"),
        ("echo all good", Outcome::Failed, "not JSON"),
        ("echo '{\"findings\":[],\"incomplete\":\"half\"}'", Outcome::Partial, "half"),
    ] {
        engine(script);
        let job = review().await;
        assert_eq!(job.review.as_ref().unwrap().outcome, outcome, "{script}: {job:?}");
        assert!(job.reason.as_deref().unwrap().contains(words), "{script}: {:?}", job.reason);
        // What is deferred has not ended: it goes on by itself.
        assert_eq!(job.state == JobState::Queued, outcome == Outcome::Deferred);
        assert_eq!(job.not_before_ms.is_some(), outcome == Outcome::Deferred);
        assert_eq!(job.outcome.is_some(), outcome != Outcome::Deferred);
    }
    place.config("[review]\nengine = \"comand\"\n");
    let detail = runner.post(&json!({"path": repo})).await.problem(500);
    assert!(detail.contains("config.toml:2:10: unknown value `comand`"), "{detail}");
    runner.stop().await;
}

/// Takes one request and answers with a status; hands its head and its body back.
async fn collect(listener: &tokio::net::TcpListener, status: &str) -> (String, serde_json::Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    loop {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0, "it ended early");
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let Ok(body) = serde_json::from_str(body) else { continue };
        stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.unwrap();
        return (head.to_ascii_lowercase(), body);
    }
}

#[tokio::test]
async fn a_job_that_has_ended_is_told_of_as_a_trace_and_loses_nothing_by_it() {
    let place = Place::new();
    let repo = place.repository("repo");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/otel", listener.local_addr().unwrap());
    place.config(&format!("[traces]\nendpoint = \"{endpoint}\"\n"));
    let runner = place.runner();
    for status in ["200 OK", "503 Service Unavailable"] {
        let job = runner.client().review(&local(&repo, "HEAD")).await.unwrap();
        let (job, (head, trace)) = tokio::join!(
            async { runner.client().follow(&job.id, false, &mut |_| {}).await.unwrap() },
            collect(&listener, status)
        );
        assert_eq!(job.outcome, Some(Outcome::Reviewed));
        assert!(head.starts_with("post /otel/v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\ncontent-type: application/json"), "{head}");
        let spans = trace["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["review", "wait", "attempt 1", "fetch", "plan", "engine", "judge"]);
        let id = ulid::Ulid::from_string(&job.id).unwrap();
        assert_eq!(spans[0]["traceId"], format!("{:032x}", id.0));
    }
    runner.stop().await;
    for endpoint in ["https://127.0.0.1:4318", "http://collector.example:4318"] {
        place.config(&format!("[traces]\nendpoint = \"{endpoint}\"\n"));
        let error = format!("{:#}", place.host().config().unwrap_err());
        assert!(error.contains("config.toml:2:") && error.contains("is no address of a collector"), "{error}");
    }
}

#[tokio::test]
async fn an_engine_is_told_of_the_skills_that_are_chosen() {
    let place = Place::new();
    let repo = place.repository("repo");
    // Says back what it was told.
    let script = r#"sed 's/.*"instructions":"\(\([^"\\]\|\\.\)*\)".*/{"findings":[],"summary":"\1"}/'"#;
    let engine = json!(["/bin/sh", "-c", script]);
    let config = |review: &str| {
        place.config(&format!("[review]\nengine = \"command\"\n{review}[engine.command]\nargv = {engine}\n"));
    };
    let skill = |name: &str, text: &str| {
        std::fs::create_dir_all(place.path("config/skills")).unwrap();
        std::fs::write(place.path(&format!("config/skills/{name}.md")), text).unwrap();
    };
    config("");
    let runner = place.runner();
    let review = async |skills: &[&str]| {
        let skills = skills.iter().map(|name| (*name).to_owned()).collect();
        let job = runner.client().review(&ReviewRequest { skills, ..local(&repo, "HEAD") }).await.unwrap();
        runner.client().follow(&job.id, false, &mut |_| {}).await.unwrap().review.unwrap()
    };
    let told = async |skills: &[&str]| {
        let review = review(skills).await;
        assert_eq!(review.outcome, Outcome::Reviewed, "{review:?}");
        review.summary.unwrap_or_default()
    };
    let of_default = told(&[]).await;
    assert!(of_default.contains("===== skill code-reviewer ====="), "{of_default}");
    assert!(!of_default.contains("security-scanner"));
    let two = told(&["security-scanner", "perf-auditor"]).await;
    assert!(two.contains("===== skill security-scanner") && two.contains("===== skill perf-auditor"), "{two}");
    assert!(!two.contains("skill code-reviewer"), "what is asked for takes the place of what is configured");

    skill("own", "---\nname: own\ndescription: d\npaths: [\"*.py\"]\n---\nLook for canaries.\n");
    skill("rust", "---\nname: rust\ndescription: d\npaths: [\"*.rs\"]\n---\nLook for crabs.\n");
    config("skills = [\"own\", \"rust\"]\n");
    let own = told(&[]).await;
    assert!(own.contains("Look for canaries.") && !own.contains("crabs"), "no file is Rust: {own}");
    // With no skills there is nothing to say.
    config("skills = []\ninstructions = \"Speak French.\"\n");
    assert!(told(&[]).await.contains("Speak French."));

    let answer = runner.post(&json!({"path": repo, "range": "HEAD", "skills": ["secrity-scanner"]})).await;
    let detail = answer.problem(422);
    assert!(detail.contains("no skill `secrity-scanner`") && detail.contains("`security-scanner`?"), "{detail}");
    let detail = runner.post(&json!({"pr": 1, "skills": ["../x"]})).await.problem(422);
    assert!(detail.contains("`skills`: `../x` cannot be the name"), "{detail}");
    config("skills = [\"onw\"]\n");
    let failed = review(&[]).await;
    assert_eq!(failed.outcome, Outcome::Failed);
    assert!(failed.reason.as_deref().unwrap().contains("there is no skill `onw` (did you mean `own`?"), "{failed:?}");
    // One with something wrong in it fails the reviews that want it, and no others.
    skill("own", "---\nname: own\n---\nx\n");
    config("skills = [\"own\"]\n");
    let reason = review(&[]).await.reason.unwrap();
    assert!(reason.contains("config/skills/own.md:") && reason.contains("missing field `description`"), "{reason}");
    assert!(told(&["code-reviewer"]).await.contains("code-reviewer"));
    runner.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_after_the_last_event_that_was_seen() {
    let place = Place::new();
    let repo = place.repository("repo");
    let runner = place.runner();
    let accept = "Accept: text/event-stream\r\nContent-Type: application/json\r\n";
    let body = json!({"path": repo, "range": "HEAD"}).to_string();
    let whole = runner.ask("POST", "/review", accept, &body).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "text/event-stream"));
    assert_eq!(whole.header("cache-control"), "no-store");
    let blocks: Vec<&str> = whole.body.split_terminator("\n\n").collect();
    for (index, block) in blocks.iter().enumerate() {
        assert!(block.starts_with(&format!("id: {}\ndata: {{\"seq\":{},", index + 1, index + 1)), "{block}");
    }
    assert!(blocks.last().unwrap().contains(r#""event":"ended","outcome":"reviewed""#), "{blocks:?}");

    let job = runner.client().jobs(1).await.unwrap().remove(0);
    let path = format!("/jobs/{}/events", job.id);
    assert_eq!(runner.get(&path).await.body, whole.body);
    let rest = runner.ask("GET", &path, "Last-Event-ID: 3\r\n", "").await;
    assert_eq!(rest.body.split_terminator("\n\n").collect::<Vec<_>>(), blocks[3..]);
    let odd = runner.ask("GET", &path, "Last-Event-ID: x\r\n", "").await;
    assert!(odd.problem(400).contains("number of an event"));
    runner.stop().await;
}

#[tokio::test]
async fn a_follower_who_has_seen_the_end_is_not_kept_waiting() {
    let place = Place::new();
    let runner = place.runner();
    let job =
        runner.client().review(&ReviewRequest { repo: Some("no/body".into()), ..Default::default() }).await.unwrap();
    let ended = runner.client().follow(&job.id, true, &mut |_| {}).await.unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Failed));
    assert!(ended.reason.unwrap().contains("no agent has the repository `no/body`"));
    let last = runner.shared.store.events(&job.id, 0).await.unwrap().last().unwrap().seq;
    for seen in [last, last + 100] {
        let began = Instant::now();
        let header = format!("Last-Event-ID: {seen}\r\n");
        let answer = runner.ask("GET", &format!("/jobs/{}/events", job.id), &header, "").await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    runner.stop().await;
}

#[tokio::test]
async fn jobs_are_listed_shown_and_cancelled() {
    let place = Place::new();
    place.agent("sleeper", "").agent("other", "");
    let runner = place.runner();
    assert_eq!(runner.get("/jobs").await.json(), json!([]));
    // Nobody works on the queue of an agent that does not run.
    let first = runner.post(&json!({"agent": "sleeper", "pr": 1})).await.json();
    let second = runner.post(&json!({"agent": "sleeper", "pr": "2"})).await.json();
    let third = runner.post(&json!({"agent": "other", "pr": "#3"})).await.json();
    let ids =
        |answer: &Answer| answer.json().as_array().unwrap().iter().map(|job| job["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&runner.get("/jobs").await), [&third["id"], &second["id"], &first["id"]].map(Clone::clone));
    assert_eq!(ids(&runner.get("/jobs?limit=1").await), [third["id"].clone()]);
    assert_eq!(ids(&runner.get("/jobs?agent=sleeper&limit=5").await), [second["id"].clone(), first["id"].clone()]);
    for query in ["limit=0", "limit=1001", "limit=x", "agent=../x", "agnet=x", "limit", "x&limit=1"] {
        runner.get(&format!("/jobs?{query}")).await.problem(400);
    }

    let path = format!("/jobs/{}", first["id"].as_str().unwrap());
    assert_eq!(runner.get(&path).await.json()["request"], json!({"pr": 1, "agent": "sleeper"}));
    let cancelled = runner.ask("DELETE", &path, "", "").await;
    assert_eq!((cancelled.status, &cancelled.json()["outcome"]), (200, &json!("cancelled")));
    assert_eq!(cancelled.json()["reason"], "cancelled before it began");
    assert!(runner.ask("DELETE", &path, "", "").await.problem(409).contains("has ended already"));
    for (method, path) in [("GET", "/jobs/none"), ("DELETE", "/jobs/none"), ("GET", "/jobs/none/events")] {
        assert_eq!(runner.ask(method, path, "", "").await.problem(404), "there is no job `none`");
    }
    runner.stop().await;
}

#[tokio::test]
async fn a_running_job_is_cancelled_and_its_engine_ended() {
    let place = Place::new();
    let repo = place.repository("repo");
    place.config(SLOW);
    let runner = place.runner();
    let job = runner.client().review(&local(&repo, "HEAD")).await.unwrap();
    until_running(&runner, &job.id).await;
    let answer = runner.ask("DELETE", &format!("/jobs/{}", job.id), "", "").await;
    assert_eq!((answer.status, &answer.json()["state"]), (202, &json!("running")));
    let began = Instant::now();
    let ended = runner.client().follow(&job.id, true, &mut |_| {}).await.unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Cancelled));
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(runner.client().info().await.unwrap().running, 0);
    runner.stop().await;
}

#[tokio::test]
async fn a_stop_puts_running_jobs_back_into_the_queue_and_the_next_runner_ends_them() {
    let place = Place::new();
    let repo = place.repository("repo");
    place.config(SLOW);
    let runner = place.runner();
    let job = runner.client().review(&local(&repo, "HEAD")).await.unwrap();
    until_running(&runner, &job.id).await;
    let client = runner.client();
    let id = job.id.clone();
    // Follows across the restart.
    let follower = tokio::spawn(async move {
        let mut told = Vec::new();
        let ended = client.follow(&id, true, &mut |event| told.push(event.clone())).await;
        (ended, told)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    runner.stop().await;
    let left = place.store().job(&job.id).await.unwrap().unwrap();
    assert_eq!((left.state, left.attempts, left.started_ms), (JobState::Queued, 1, None));

    place.config("");
    let runner = place.runner();
    let (ended, told) = follower.await.unwrap();
    let ended = ended.unwrap();
    assert_eq!((ended.outcome, ended.attempts), (Some(Outcome::Reviewed), 2));
    let seqs: Vec<u64> = told.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "each event once");
    assert!(
        told.iter()
            .any(|event| event.what == Happening::Requeued { reason: "the runner stopped".into(), until_ms: None })
    );
    runner.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_the_reason() {
    let place = Place::new();
    let runner = place.runner();
    for (body, status, words) in [
        ("", 400, "the body is empty"),
        ("{", 400, "no JSON object"),
        ("pr=42", 400, "no JSON object"),
        ("[42]", 400, "no JSON object"),
        ("null", 400, "no JSON object"),
        ("\"x\"", 400, "no JSON object"),
        ("{\"pr\":42} x", 400, "no JSON object"),
        (r#"{"rp":42}"#, 400, "unknown field `rp`"),
        (r#"{"pr":"forty-two"}"#, 400, "`pr` must be the number"),
        (r#"{"pr":[42]}"#, 400, "`pr` must be the number"),
        (r#"{"staged":"yes"}"#, 400, "invalid type"),
        (r#"{"agent":"../x"}"#, 400, "cannot be the name of an agent"),
        (r#"{"engine":"gpt"}"#, 400, "unknown variant `gpt`"),
        (r#"{"pr":1,"staged":true}"#, 422, "exclude each other"),
        (r#"{"path":"relative"}"#, 422, "must be absolute"),
        (r#"{"repo":"../x"}"#, 422, "owner/name"),
        (r#"{"range":"--output=/tmp/x"}"#, 422, "`range` is no revision"),
        (r#"{"head":"x"}"#, 422, "or with `base`"),
        (r#"{"agent":"nobody"}"#, 422, "there is no agent `nobody`"),
    ] {
        let detail = runner.ask("POST", "/review", "", body).await.problem(status);
        assert!(detail.contains(words), "{body}: {detail}");
    }
    assert_eq!(runner.get("/jobs").await.json(), json!([]), "nothing was accepted");
    // As curl sends it from a workflow.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(runner.ask("POST", "http://localhost/review", form, r#"{"pr": "42"}"#).await.status, 202);
    runner.stop().await;
}

#[tokio::test]
async fn the_jobs_of_one_pull_request_can_be_asked_for() {
    let place = Place::new();
    place.agent("web", "repo = \"acme/web\"\n").agent("shop", "repo = \"acme/shop\"\n");
    let runner = place.runner();
    let mut ids = Vec::new();
    for body in [r#"{"pr":42,"repo":"acme/web"}"#, r#"{"pr":"42","agent":"shop"}"#, r#"{"pr":7,"repo":"acme/web"}"#] {
        let answer = runner.ask("POST", "/review", "", body).await;
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    let listed = async |query: &str| -> Vec<usize> {
        let jobs = runner.get(&format!("/jobs?{query}")).await.json();
        let place = |job: &serde_json::Value| ids.iter().position(|id| job["id"] == id.as_str()).unwrap();
        jobs.as_array().unwrap().iter().map(place).collect()
    };
    assert_eq!(listed("pr=42").await, [1, 0]);
    assert_eq!(listed("pr=42&limit=1").await, [1]);
    assert_eq!(listed("pr=42&repo=Acme/Shop").await, [1]);
    assert_eq!(listed("pr=42&repo=Acme%2FShop").await, [1], "as libraries write it");
    assert_eq!(listed("pr=42&agent=web").await, [0]);
    assert_eq!(listed("pr=9").await, [0; 0]);
    assert_eq!(runner.client().jobs_of_pull(42, Some("acme/web"), 10).await.unwrap()[0].id, ids[0]);
    for (query, words) in [("pr=x", "`pr` must be"), ("pr=0", "`pr` must be"), ("pr=1&repo=x", "owner/name")] {
        assert!(runner.get(&format!("/jobs?{query}")).await.problem(400).contains(words), "{query}");
    }
    assert!(runner.get("/jobs?repo=a/b").await.problem(422).contains("goes with `pr`"));
    runner.stop().await;
}

#[tokio::test]
async fn a_body_of_more_than_a_mebibyte_is_refused_however_it_comes() {
    const LIMIT: usize = 1 << 20;
    let place = Place::new();
    place.agent("sleeper", "");
    let runner = place.runner();
    let text = r#"{"agent":"sleeper"}"#;
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    let chunked = |body: &str| {
        let mut request =
            b"POST /review HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for part in body.as_bytes().chunks(50_000) {
            request.extend(format!("{:x}\r\n", part.len()).bytes().chain(part.iter().copied()).chain(*b"\r\n"));
        }
        request.extend(b"0\r\n\r\n");
        request
    };
    assert_eq!(runner.ask("POST", "/review", "", &padded(LIMIT)).await.status, 202);
    assert_eq!(Answer::read(&runner.raw(&chunked(&padded(LIMIT))).await).status, 202);
    runner.ask("POST", "/review", "", &padded(LIMIT + 1)).await.problem(413);
    Answer::read(&runner.raw(&chunked(&padded(LIMIT + 1))).await).problem(413);
    // Refused before it is sent.
    let announced = format!("POST /review HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", 1u64 << 40);
    Answer::read(&runner.raw(announced.as_bytes()).await).problem(413);
    runner.stop().await;
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones_and_unknown_paths_where_to_look() {
    let place = Place::new();
    let runner = place.runner();
    for (method, path, allow) in [
        ("GET", "/review", "POST"),
        ("PUT", "/review", "POST"),
        ("POST", "/jobs", "GET"),
        ("POST", "/jobs/x", "GET, DELETE"),
        ("DELETE", "/jobs/x/events", "GET"),
        ("OPTIONS", "/healthz", "GET"),
        ("BREW", "/metrics", "GET"),
    ] {
        let answer = runner.ask(method, path, "", "").await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
    for path in ["/", "/nothing", "/jobs/a/b", "/jobs/a/events/b", "/../etc/passwd", "/%2e%2e", "/REVIEW", "/healthz/x"]
    {
        assert!(runner.get(path).await.problem(404).contains("/openapi.json"), "{path}");
    }
    let head = runner.ask("HEAD", "/healthz", "", "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for garbage in [&b"\x16\x03\x01\x00\xff\r\n\r\n"[..], b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"] {
        let answer = String::from_utf8_lossy(&runner.raw(garbage).await).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{answer}");
    }
    let long = runner.ask("GET", "/healthz", &format!("X: {}\r\n", "x".repeat(1 << 20)), "").await;
    assert_eq!(long.status, 431);
    assert_eq!(runner.get("/healthz").await.status, 200);
    runner.stop().await;
}

#[tokio::test]
async fn who_is_slow_is_cut_off() {
    let place = Place::new();
    let runner = place.runner();
    let timed = async |bytes: &'static [u8]| {
        let began = Instant::now();
        let answer = runner.raw(bytes).await;
        (began.elapsed().as_secs(), String::from_utf8_lossy(&answer).into_owned())
    };
    let (silent, half_head, half_body) = tokio::join!(
        timed(b""),
        timed(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-"),
        timed(b"POST /review HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\n{"),
    );
    for (seconds, answer) in [silent, half_head] {
        assert!((14..20).contains(&seconds), "{seconds} s");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    assert!((29..36).contains(&half_body.0), "{} s", half_body.0);
    assert!(Answer::read(half_body.1.as_bytes()).problem(408).contains("within 30 s"));
    runner.stop().await;
}

#[tokio::test]
async fn more_connections_than_it_takes_wait_and_do_not_kill_it() {
    let place = Place::new();
    let runner = place.runner();
    let mut open = Vec::new();
    for _ in 0..300 {
        // The backlog of a listener bound by std holds what does not fit.
        open.push(UnixStream::connect(&runner.socket).await.unwrap());
        tokio::task::yield_now().await;
    }
    // Who comes now waits, until the first of them are cut off.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = tokio::time::timeout(Duration::from_millis(200), runner.get("/healthz")).await;
    drop(open);
    assert_eq!(runner.get("/healthz").await.status, 200);
    let text = runner.get("/metrics").await.body;
    assert!(text.lines().any(|line| line == "cicd_connections 1"), "{text}");
    runner.stop().await;
}

#[tokio::test]
async fn only_our_own_user_is_answered() {
    let place = Place::new();
    let stranger = place.start(Scope::Runner, |host| host.uid += 1);
    assert_eq!(stranger.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await, b"");
    stranger.stop().await;

    // The other way round: a real other user, who gets as far as the socket.
    if !nix::unistd::getuid().is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let runner = place.runner();
    for path in [place.path(""), place.path("runtime"), runner.socket.clone()] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let socket = runner.socket.to_str().unwrap().to_owned();
    let script = "use IO::Socket::UNIX; $SIG{PIPE}='IGNORE'; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; \
                  print $s \"GET /healthz HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\"; $s->flush; \
                  print length(<$s> // '')";
    let ask = async |user: &str| {
        let mut command = tokio::process::Command::new("setpriv");
        command.args([&format!("--reuid={user}"), "--clear-groups", "perl", "-e", script, &socket]).current_dir("/");
        let output = command.output().await.unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    assert_eq!(ask("0").await, "17", "the length of the status line");
    assert_eq!(ask("65534").await, "0");
    assert_eq!(runner.get("/healthz").await.status, 200);
    runner.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_one_agent_is_no_concern_of_another_project() {
    let place = Place::new();
    let (good, bad) = (place.path("good"), place.path("bad"));
    for dir in [&good, &bad] {
        std::fs::create_dir_all(dir).unwrap();
    }
    place.agent("good", &format!("path = {good:?}\nrepo = \"acme/good\"\n"));
    place.agent("bad", &format!("path = {bad:?}\nrepo = \"acme/bad\"\n[limits]\nmemroy = \"1G\"\n"));
    let runner = place.runner();
    let asked = async |request: serde_json::Value| runner.post(&request).await;
    for request in [json!({"path": good}), json!({"repo": "acme/good"}), json!({"agent": "good"})] {
        let answer = asked(request).await;
        assert_eq!((answer.status, answer.json()["agent"].as_str()), (202, Some("good")), "{answer:?}");
    }
    for request in [json!({"path": bad}), json!({"repo": "acme/bad"}), json!({"pr": 1})] {
        assert!(asked(request).await.problem(500).contains("bad.toml:4:1: unknown key `memroy`"));
    }
    // Its job says so, too.
    assert_eq!(asked(json!({"agent": "bad"})).await.json()["agent"].as_str(), Some("bad"));
    runner.stop().await;
}

#[tokio::test]
async fn a_job_belongs_to_the_agent_that_is_named_or_has_the_project() {
    let place = Place::new();
    let (outer, inner) = (place.path("src"), place.path("src/vendor/lib"));
    std::fs::create_dir_all(inner.join("deep")).unwrap();
    std::os::unix::fs::symlink(&inner, place.path("link")).unwrap();
    place.agent("a-outer", &format!("path = {outer:?}\nrepo = \"acme/web\"\n"));
    place.agent("b-inner", &format!("path = {inner:?}\n"));
    let runner = place.runner();
    let owner = async |request: serde_json::Value| {
        let answer = runner.post(&request).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()["agent"].as_str().map(str::to_owned)
    };
    let owned = |name: &str| Some(name.to_owned());
    assert_eq!(owner(json!({"path": outer})).await, owned("a-outer"));
    assert_eq!(owner(json!({"path": outer.join("vendor")})).await, owned("a-outer"));
    // The innermost project, not the first by name.
    assert_eq!(owner(json!({"path": inner.join("deep")})).await, owned("b-inner"));
    assert_eq!(owner(json!({"path": place.path("link")})).await, owned("b-inner"));
    assert_eq!(owner(json!({"path": place.path("src-of-others")})).await, None);
    assert_eq!(owner(json!({"path": "/"})).await, None);
    assert_eq!(owner(json!({"repo": "acme/web"})).await, owned("a-outer"));
    assert_eq!(owner(json!({"repo": "acme/other"})).await, None);
    assert_eq!(owner(json!({"agent": "b-inner", "path": outer})).await, owned("b-inner"));
    assert_eq!(owner(json!({"pr": 1})).await, None, "two could be meant");
    std::fs::remove_file(place.path("config/agents/b-inner.toml")).unwrap();
    assert_eq!(owner(json!({"pr": 1})).await, owned("a-outer"), "there is only one");
    std::fs::remove_file(place.path("config/agents/a-outer.toml")).unwrap();
    assert_eq!(owner(json!({"pr": 1})).await, None);
    runner.stop().await;
}

#[tokio::test]
async fn an_agent_takes_the_jobs_of_its_own_queue_and_is_woken_by_the_runner() {
    let place = Place::new();
    let repo = place.repository("repo");
    place.agent("web", &format!("path = {repo:?}\n"));
    let agent = place.start(Scope::Agent("web".parse().unwrap()), |_| {});
    let runner = place.runner();
    assert_eq!(agent.client().info().await.unwrap().scope, "web");
    let detail = agent.post(&json!({"agent": "other"})).await.problem(422);
    assert_eq!(detail, "this is the socket of agent `web`, not of `other`");
    let job =
        runner.client().review(&ReviewRequest { range: Some("HEAD".into()), ..Default::default() }).await.unwrap();
    assert_eq!(job.agent.as_ref().map(|name| name.as_str()), Some("web"));
    let ended = runner.client().follow(&job.id, true, &mut |_| {}).await.unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Reviewed), "{:?}", ended.reason);
    assert_eq!(agent.get("/jobs").await.json()[0]["id"], json!(job.id));
    runner.stop().await;
    agent.stop().await;
}

#[tokio::test]
async fn a_runner_that_stops_answers_what_was_asked_and_takes_no_more() {
    let place = Place::new();
    let repo = place.repository("repo");
    place.config(SLOW);
    let runner = place.runner();
    let job = runner.client().review(&local(&repo, "HEAD")).await.unwrap();
    until_running(&runner, &job.id).await;
    // An open connection in the middle of its request.
    let mut open = UnixStream::connect(&runner.socket).await.unwrap();
    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let socket = runner.socket.clone();
    let stopping = tokio::spawn(runner.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(UnixStream::connect(&socket).await.is_err(), "nobody listens any more");
    let _ = open.write_all(b"\r\n").await;
    let mut answer = Vec::new();
    let _ = open.read_to_end(&mut answer).await;
    if !answer.is_empty() {
        assert_eq!(Answer::read(&answer).json()["ready"], false);
    }
    stopping.await.unwrap();
}

#[test]
fn a_socket_that_somebody_listens_on_is_not_taken_and_one_that_is_left_over_is() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let path = place.path("runtime/deep/x.sock");
    let first = cicdctl::runner::listen(&path, false).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let Err(error) = cicdctl::runner::listen(&path, false) else { panic!("it was taken") };
    let text = cicdctl::error::describe(&error);
    assert!(text.contains("another process listens there") && text.contains("cicdctl status"), "{text}");
    drop(first);
    cicdctl::runner::listen(&path, false).unwrap();
    std::fs::write(place.path("runtime/file"), "precious").unwrap();
    assert!(cicdctl::runner::listen(&place.path("runtime/file"), false).is_err());
    assert_eq!(std::fs::read_to_string(place.path("runtime/file")).unwrap(), "precious");
}

#[tokio::test]
async fn slow_peers_do_not_keep_a_good_one_waiting() {
    let place = Place::new();
    let runner = place.runner();
    let mut slow = Vec::new();
    for number in 0..300 {
        let mut stream = UnixStream::connect(&runner.socket).await.unwrap();
        // Some say nothing, the others begin and do not go on.
        if number % 2 == 0 {
            stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: l").await.unwrap();
        }
        slow.push(stream);
    }
    let began = Instant::now();
    assert_eq!(runner.get("/healthz").await.status, 200);
    let took = began.elapsed();
    eprintln!("behind 300 slow connections: {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}");
    runner.stop().await;
}

#[tokio::test]
async fn a_huge_file_is_missed_and_the_runner_answers_meanwhile() {
    let place = Place::new();
    let repo = place.repository("repo");
    std::fs::write(repo.join("empty-lines"), "\n".repeat(60_000_000)).unwrap();
    std::fs::write(repo.join("many-lines"), "x\n".repeat(3_000_000)).unwrap();
    let runner = place.runner();
    let request = ReviewRequest { path: Some(repo), ..Default::default() };
    let job = runner.client().review(&request).await.unwrap();
    let client = runner.client();
    let mut ended = tokio::spawn(async move { client.follow(&job.id, false, &mut |_| {}).await });
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    let ended = loop {
        let began = Instant::now();
        assert_eq!(runner.get("/healthz").await.status, 200);
        slowest = slowest.max(began.elapsed());
        asked += 1;
        tokio::select! {
            ended = &mut ended => break ended.unwrap().unwrap(),
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    };
    eprintln!("a huge change: asked {asked} times, the slowest answer took {} ms", slowest.as_millis());
    assert_eq!(ended.outcome, Some(Outcome::Partial));
    let reason = ended.reason.unwrap();
    assert!(
        reason.contains("`empty-lines` (too large to be read: 60 MB) and `many-lines` (too large to be read: 9 MB)"),
        "{reason}"
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    runner.stop().await;
}
