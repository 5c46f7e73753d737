//! A port for Prometheus. It has neither a password nor encryption, so it is one of this host alone; what it tells is read
//! from the store at each look, and the runner may sleep.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::error::Fail;
use crate::host::Host;
use crate::metrics;

/// Connections at once; who comes beyond is turned away.
const MOST: usize = 16;
/// How long one may last: a look takes less than a second.
const LONGEST: Duration = Duration::from_secs(30);

/// An address of the loopback interface, and a port.
pub fn parse(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, such as `127.0.0.1:9464` or `[::1]:9464`".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => {
            Err("only an address of this host alone, such as 127.0.0.1: there is no password; put a proxy before it"
                .into())
        }
    }
}

/// Until a signal ends it.
pub async fn serve(address: SocketAddr, host: &Host) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        Fail::new(format!("could not listen at {address}"))
            .hint("another port may be free; 9464 is usual for OpenMetrics")
    })?;
    host.ui.say(&format!("metrics are at http://{}/metrics", listener.local_addr()?));
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                // One that says nothing, or reads nothing, is not waited for.
                Ok((stream, _)) if connections.len() < MOST => {
                    connections.push(tokio::time::timeout(LONGEST, connection(stream, host)));
                }
                Ok(_) => {}
                // Out of file descriptors, most likely: it passes when connections end.
                Err(error) => {
                    host.ui.warn(&format!("could not accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.next(), if !connections.is_empty() => {}
            _ = term.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

async fn connection(stream: TcpStream, host: &Host) {
    let service = service_fn(async |request: Request<Incoming>| Ok::<_, Infallible>(answer(&request, host).await));
    let mut server = hyper::server::conn::http1::Builder::new();
    // Whoever left early has what they wanted.
    let _ = server.timer(TokioTimer::new()).keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: &Request<Incoming>, host: &Host) -> Response<Full<Bytes>> {
    let name = request.headers().get(HOST).and_then(|name| name.to_str().ok());
    if !is_this_host(name.unwrap_or_default()) {
        // A page in somebody's browser, by a name of its own that leads here.
        return response(StatusCode::FORBIDDEN, "text/plain", "ask by the name localhost, or by the address\n".into());
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match super::text(host).await {
            Ok(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => {
                host.ui.error(&error);
                response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error:#}\n"))
            }
        },
        (&Method::GET | &Method::HEAD, _) => {
            response(StatusCode::NOT_FOUND, "text/plain", "the metrics are at /metrics\n".into())
        }
        _ => response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".into()),
    }
}

fn is_this_host(name: &str) -> bool {
    match name.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => {
            let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        }
    }
}

fn response(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_is_listened_to() {
        for good in ["127.0.0.1:9464", "[::1]:1", "127.1.2.3:80"] {
            parse(good).unwrap();
        }
        for bad in ["0.0.0.0:9464", "[::]:9464", "192.168.1.1:9464", "9464", "localhost:9464", "127.0.0.1"] {
            parse(bad).unwrap_err();
        }
    }

    #[test]
    fn only_names_of_this_host_are_answered() {
        for good in ["localhost", "localhost:9464", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9464", "[::1]:9464"] {
            assert!(is_this_host(good), "{good}");
        }
        for bad in
            ["", "evil.example", "evil.example:9464", "localhost.evil.example", "10.0.0.1:9464", "127.0.0.1.evil"]
        {
            assert!(!is_this_host(bad), "{bad}");
        }
    }
}
