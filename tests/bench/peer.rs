//! What the benchmark needs beside `cicdctl`: the peers it is measured against, clients that load a server, and the store
//! with nothing around it. Prints one line of JSON with what was measured.
//!
//! ```text
//! peer serve [SOCKET]                   bare hyper that answers `ok`, on SOCKET or on the one that systemd passes
//! peer load SOCKET CLIENTS SECONDS      GET /healthz over connections that are kept open
//! peer accept SOCKET CLIENTS SECONDS    POST /review, each for another pull request
//! peer sync DIR CLIENTS SECONDS         appends 4 KiB to a file of each client, and fdatasync
//! peer queue DIR ROWS                   what claiming and listing take beside ROWS jobs that ended
//! peer follow SOCKET JOB COUNT          COUNT clients that follow the events of a job until they end
//! ```

use std::convert::Infallible;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use cicdctl::api::ReviewRequest;
use cicdctl::store::{Ask, Store};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = match args[..] {
        ["serve"] => return runtime.block_on(serve(None)),
        ["serve", socket] => return runtime.block_on(serve(Some(socket))),
        ["load", socket, clients, seconds] => {
            runtime.block_on(load(socket, clients.parse()?, seconds.parse()?, false))?
        }
        ["accept", socket, clients, seconds] => {
            runtime.block_on(load(socket, clients.parse()?, seconds.parse()?, true))?
        }
        ["sync", dir, clients, seconds] => sync(dir, clients.parse()?, seconds.parse()?)?,
        ["queue", dir, rows] => runtime.block_on(queue(dir, rows.parse()?))?,
        ["follow", socket, job, count] => runtime.block_on(follow(socket, job, count.parse()?))?,
        _ => bail!("unknown arguments; see the head of tests/bench/peer.rs"),
    };
    writeln!(std::io::stdout(), "{found}")?;
    Ok(())
}

async fn serve(socket: Option<&str>) -> Result<()> {
    let listener = match socket {
        Some(path) => UnixListener::bind(path)?,
        None => {
            let passed = listenfd::ListenFd::from_env().take_unix_listener(0)?.context("no socket was passed")?;
            passed.set_nonblocking(true)?;
            UnixListener::from_std(passed)?
        }
    };
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let answer =
                service_fn(async |_| Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok\n")))));
            // A client may leave in the middle.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn connect(socket: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = UnixStream::connect(socket).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Requests a second that were answered well.
async fn load(socket: &str, clients: usize, seconds: f64, posts: bool) -> Result<Value> {
    let next = Arc::new(AtomicU64::new(1));
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let clients = (0..clients).map(|_| {
        let next = next.clone();
        async move {
            let mut sender = connect(socket).await?;
            let mut answered = 0_u64;
            while Instant::now() < until {
                let request = if posts {
                    let pull = next.fetch_add(1, Ordering::Relaxed);
                    let body = json!({ "pr": pull, "repo": "acme/shop" }).to_string();
                    Request::post("/review").header("content-type", "application/json").body(Full::from(body))
                } else {
                    Request::get("/healthz").body(Full::default())
                };
                let mut request = request?;
                request.headers_mut().insert("host", "localhost".parse()?);
                let answer = sender.send_request(request).await?;
                let status = answer.status();
                let body = answer.into_body().collect().await?.to_bytes();
                ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
                answered += 1;
                sender.ready().await?;
            }
            Ok(answered)
        }
    });
    let answered: u64 = futures_util::future::try_join_all(clients).await?.into_iter().sum();
    Ok(json!({ "per_second": answered as f64 / began.elapsed().as_secs_f64() }))
}

/// Syncs a second of as many writers, each of its own file.
fn sync(dir: &str, clients: usize, seconds: f64) -> Result<Value> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let writer = |index: usize| -> Result<u64> {
        let mut file = tempfile::Builder::new().prefix(&format!("sync-{index}-")).tempfile_in(dir)?;
        let mut synced = 0;
        while Instant::now() < until {
            file.write_all(&[0xa5; 4096])?;
            rustix::fs::fdatasync(file.as_file().as_fd())?;
            synced += 1;
        }
        Ok(synced)
    };
    let synced = std::thread::scope(|scope| -> Result<u64> {
        let writers: Vec<_> = (0..clients).map(|index| scope.spawn(move || writer(index))).collect();
        let mut sum = 0;
        for writer in writers {
            match writer.join() {
                Ok(synced) => sum += synced?,
                Err(_) => bail!("a writer ended with a panic"),
            }
        }
        Ok(sum)
    })?;
    Ok(json!({ "per_second": synced as f64 / began.elapsed().as_secs_f64() }))
}

/// Medians in microseconds.
async fn queue(dir: &str, rows: u64) -> Result<Value> {
    let path = PathBuf::from(dir).join(format!("queue-{rows}.db"));
    let store = Store::open(&path)?;
    // By SQL: to accept and end so many would take minutes.
    let filler = rusqlite::Connection::open(&path)?;
    let ask = |pull: u64| Ask {
        request: ReviewRequest { pr: Some(pull), repo: Some("acme/shop".into()), ..ReviewRequest::default() },
        pull: Some(format!("acme/shop#{pull}")),
        ..Ask::default()
    };
    let first = store.accept(ask(1_000_000)).await?.job;
    store.cancel(&first.id).await?;
    let columns: Vec<String> = filler
        .prepare("SELECT name FROM pragma_table_info('jobs') WHERE name <> 'id'")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let columns = columns.join(", ");
    filler.execute(
        &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
             INSERT INTO jobs (id, {columns}) SELECT printf('01BENCH%019d', i), {columns} FROM n, jobs WHERE id = ?2"
        ),
        rusqlite::params![rows, first.id],
    )?;
    let (mut claims, mut lists) = (Vec::new(), Vec::new());
    for pull in 0..60 {
        store.accept(ask(2_000_000 + pull)).await?;
        let began = Instant::now();
        let claimed = store.claim(None).await?.context("nothing to claim")?;
        claims.push(began.elapsed());
        store.cancel_left(&claimed.id).await?;
        let began = Instant::now();
        ensure!(store.jobs(None, 50).await?.len() as u64 >= rows.min(50), "too few are listed");
        lists.push(began.elapsed());
    }
    Ok(json!({ "claim": median(claims), "list": median(lists) }))
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// How many saw the end of the job's events.
async fn follow(socket: &str, job: &str, count: usize) -> Result<Value> {
    let followers = (0..count).map(|_| async move {
        let request = Request::get(format!("/jobs/{job}/events")).header("host", "localhost");
        let answer = connect(socket).await?.send_request(request.body(Full::default())?).await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let text = answer.into_body().collect().await?.to_bytes();
        Ok(u64::from(String::from_utf8_lossy(&text).contains("\"event\":\"ended\"")))
    });
    let saw_the_end: u64 = futures_util::future::try_join_all(followers).await?.into_iter().sum();
    Ok(json!({ "saw_the_end": saw_the_end }))
}
