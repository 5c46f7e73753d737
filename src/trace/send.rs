//! Hands a trace to the collector.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::config::CollectorUrl;

/// A collector on this host has no reason to take longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Once: a trace that is lost is no review that is lost.
pub async fn send(endpoint: &CollectorUrl, trace: &Value) -> Result<()> {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("{endpoint}/v1/traces"))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, concat!("cicdctl/", env!("CARGO_PKG_VERSION")))
        .body(Full::new(Bytes::from(trace.to_string())))?;
    let answer = tokio::time::timeout(DEADLINE, client.request(request))
        .await
        .with_context(|| format!("{endpoint} did not answer within {} s", DEADLINE.as_secs()))?
        .with_context(|| format!("{endpoint} did not answer"))?;
    ensure!(answer.status().is_success(), "{endpoint} answered {}", answer.status());
    Ok(())
}
