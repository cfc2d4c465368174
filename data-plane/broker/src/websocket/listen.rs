//! The broker's own listeners for WebSocket: one request that makes a WebSocket of the connection, or its refusal.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::handshake;
use super::mount::{PATH, into_transport};
use crate::transport::Transport;

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Answers the request on a connection; `None`: it has made no WebSocket. The caller bounds the time.
pub(crate) async fn upgrade<S>(stream: S, allowed_origins: &[String]) -> Option<Transport>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade = Mutex::new(None::<OnUpgrade>);
    let service = service_fn(|request: Request<Incoming>| {
        let mut answer = answer(&request, allowed_origins);
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(request));
        } else {
            // There is nothing else to ask for here.
            answer.headers_mut().append(CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
    builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok()?;
    let upgrade = upgrade.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    into_transport(upgrade.await.ok()?)
}

fn answer(request: &Request<Incoming>, allowed_origins: &[String]) -> Response {
    if request.uri().path() != PATH || request.method() != Method::GET {
        return (StatusCode::NOT_FOUND, "MQTT over WebSocket is at /mqtt\n").into_response();
    }
    handshake::accept(request.version(), request.headers(), allowed_origins)
        .unwrap_or_else(IntoResponse::into_response)
}
