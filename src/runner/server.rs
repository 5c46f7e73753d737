//! Serves connections: a task for each, bounded in number, in time and in what they may send.
//!
//! There is a place for each connection, and a slow peer must not keep it from the others: a request has to arrive, and
//! its answer to be taken, within a time that gets short once half of the places are taken. Who follows a job waits
//! rightly, and gives its place away for one of those for followers.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::socket::Listening;
use super::{Shared, routes};
use crate::files;

/// Connections at once; more wait in the socket's backlog.
const MAX_CONNECTIONS: usize = 256;
/// Until a request's head is complete, for an open connection that says nothing, too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// Until a request's body is complete.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// Until more of an answer is taken by a peer that has stopped reading.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Either, once half of the places are taken: so many slow peers are not to keep the others out.
const CROWDED_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections that follow a job, beside those above.
const MAX_FOLLOWERS: usize = 4096;
/// How long open connections may go on once the runner stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Serves until `closing` is rung, then answers what was asked and ends.
pub async fn serve(shared: Arc<Shared>, listening: Listening, closing: Arc<Notify>) -> Result<()> {
    let (listener, path) = match listening {
        Listening::Systemd(listener) => (listener, None),
        Listening::Bound(listener, path) => (listener, Some(path)),
        Listening::Connection(stream) => {
            stream.set_nonblocking(true)?;
            connection(shared, UnixStream::from_std(stream)?, Place::default(), closing).await;
            return Ok(());
        }
    };
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let followers = Arc::new(Semaphore::new(MAX_FOLLOWERS));
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
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = closing.notified() => break,
        };
        let place = Place {
            crowded: places.available_permits() < MAX_CONNECTIONS / 2,
            taken: Arc::new(Mutex::new(Some(place))),
            followers: Some(followers.clone()),
        };
        let (shared, end) = (shared.clone(), end_connections.clone());
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.touch();
        connections.spawn(async move {
            connection(shared.clone(), stream, place, end).await;
            shared.connections.fetch_sub(1, Ordering::SeqCst);
            shared.touch();
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

/// The place of a connection, free again when this is dropped.
#[derive(Clone, Default)]
struct Place {
    /// Half of them were taken when this connection came.
    crowded: bool,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    followers: Option<Arc<Semaphore>>,
}

impl Place {
    fn patience(&self, otherwise: Duration) -> Duration {
        if self.crowded { CROWDED_TIMEOUT } else { otherwise }
    }

    /// Changes it for that of a follower. Where there is none it is kept.
    fn follow(&self) {
        if let Some(Ok(other)) = self.followers.clone().map(Semaphore::try_acquire_owned) {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(other);
        }
    }
}

async fn connection(shared: Arc<Shared>, stream: UnixStream, place: Place, end: Arc<Notify>) {
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
    let header_timeout = place.patience(HEADER_TIMEOUT);
    let stream = Impatient { stream, limit: place.patience(WRITE_TIMEOUT), stuck: None };
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (shared, place) = (shared.clone(), place.clone());
        async move {
            request.extensions_mut().insert(routes::Patience(place.patience(BODY_TIMEOUT)));
            let answer = routes::answer(shared, request).await;
            let follows = answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
            if follows && answer.status() == StatusCode::OK {
                place.follow();
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
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

/// A stream whose peer has to take something of what is written to it, time and again.
struct Impatient {
    stream: UnixStream,
    limit: Duration,
    /// Runs while the peer takes nothing.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn hurry<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let limit = self.limit;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(stuck.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its answer")))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.hurry(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.hurry(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let limit = Duration::from_millis(200);
        let (ours, _deaf) = UnixStream::pair().unwrap();
        let mut to = Impatient { stream: ours, limit, stuck: None };
        let written = tokio::time::timeout(Duration::from_secs(30), to.write_all(&vec![0; 8 << 20])).await;
        assert_eq!(written.expect("it waits for ever").unwrap_err().kind(), io::ErrorKind::TimedOut);

        let (ours, mut slow) = UnixStream::pair().unwrap();
        let mut to = Impatient { stream: ours, limit, stuck: None };
        let reader = tokio::spawn(async move {
            let (mut taken, mut piece) = (0, vec![0; 256 << 10]);
            while taken < 2 << 20 {
                sleep(limit / 4).await;
                taken += slow.read(&mut piece).await.unwrap();
            }
        });
        to.write_all(&vec![0; 2 << 20]).await.unwrap();
        reader.await.unwrap();
    }

    #[tokio::test]
    async fn a_follower_gives_its_place_back() {
        let (places, followers) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(1)));
        let take = || Arc::new(Mutex::new(places.clone().try_acquire_owned().ok()));
        let first = Place { crowded: false, taken: take(), followers: Some(followers.clone()) };
        assert_eq!(places.available_permits(), 0);
        first.follow();
        assert_eq!((places.available_permits(), followers.available_permits()), (1, 0));
        // Where nobody else may follow, who does keeps the place of a connection.
        let second = Place { crowded: true, taken: take(), followers: Some(followers.clone()) };
        second.follow();
        assert_eq!((places.available_permits(), followers.available_permits()), (0, 0));
        drop((first, second));
        assert_eq!((places.available_permits(), followers.available_permits()), (1, 1));
    }
}
