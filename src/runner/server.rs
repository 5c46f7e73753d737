//! Serves connections: a task for each, bounded in number, in time and in what they may send.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::socket::Listening;
use super::{Shared, routes};
use crate::files;

/// Connections at once; more wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 256;
/// Until a request's head is complete, for an open connection that says nothing, too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// The same once half of the places are taken: so many slow peers are not to keep the others out.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);
/// How long open connections may go on once the runner stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until `closing` is rung, then answers what was asked and ends.
pub async fn serve(shared: Arc<Shared>, listening: Listening, closing: Arc<Notify>) -> Result<()> {
    let (listener, path) = match listening {
        Listening::Systemd(listener) => (listener, None),
        Listening::Bound(listener, path) => (listener, Some(path)),
        Listening::Connection(stream) => {
            stream.set_nonblocking(true)?;
            connection(shared, UnixStream::from_std(stream)?, HEADER_TIMEOUT, closing).await;
            return Ok(());
        }
    };
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let end_connections = Arc::new(Notify::new());
    loop {
        while connections.try_join_next().is_some() {}
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place?,
            () = closing.notified() => break,
        };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: it passes when connections end.
                    tracing::warn!("could not accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = closing.notified() => break,
        };
        let crowded = places.available_permits() < MAX_CONNECTIONS / 2;
        let patience = if crowded { CROWDED_TIMEOUT } else { HEADER_TIMEOUT };
        let (shared, end) = (shared.clone(), end_connections.clone());
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.touch();
        connections.spawn(async move {
            connection(shared.clone(), stream, patience, end).await;
            shared.connections.fetch_sub(1, Ordering::SeqCst);
            shared.touch();
            drop(place);
        });
    }
    if let Some(path) = path
        && let Err(error) = files::remove(&path)
    {
        tracing::warn!("{error:#}");
    }
    // Where systemd keeps the socket, whoever connects from here on waits in the backlog for the next runner.
    drop(listener);
    end_connections.notify_waiters();
    let _ = tokio::time::timeout(LAST_ANSWERS, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn connection(shared: Arc<Shared>, stream: UnixStream, patience: Duration, end: Arc<Notify>) {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == shared.host.uid => {}
        Ok(peer) => {
            tracing::warn!("refused a connection of uid {}", peer.uid());
            return;
        }
        Err(error) => {
            tracing::warn!("refused a connection whose peer is unknown: {error}");
            return;
        }
    }
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(routes::answer(shared, request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = end.notified() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
