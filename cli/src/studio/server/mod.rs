//! The studio's server: the page, its pictures, and what it may ask for.

pub mod access;
mod api;
mod files;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tokio::net::TcpListener;

use self::access::Access;
use super::state::Studio;
use super::upload::LARGEST;
use crate::terminal::note;
use npad::error::{Error, Result, Status};

/// Largest body of a request that is no upload.
const LARGEST_REQUEST: usize = 1 << 20;

/// Maximum number of requests that are worked on at a time; each may hold an image.
const WORKERS: usize = 6;

fn router(studio: Arc<Studio>, access: Access) -> Router {
    Router::new()
        .route("/api/project", get(api::project))
        .route("/api/status", get(api::status))
        .route("/api/options", get(api::options))
        .route("/api/teach", post(api::teach))
        .route("/api/cancel", post(api::cancel))
        .route("/api/images", get(api::images))
        .route("/api/score", post(api::score))
        .route("/api/picture", get(files::picture))
        .route("/api/mark", post(api::mark))
        .route("/api/update", post(api::update))
        .route("/api/thresholds", post(api::thresholds))
        .route("/api/current", post(api::current))
        .route("/api/card", get(files::card))
        .route("/api/model", get(files::model))
        .route("/api/report", get(files::report).post(api::report))
        .route("/api/live", get(api::live).post(api::set_live))
        .route("/api/cameras", get(api::cameras))
        .route("/api/capture", post(api::capture))
        .route("/api/snippets", get(api::snippets))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .route("/api/upload", put(api::upload).layer(DefaultBodyLimit::max(LARGEST)))
        .with_state(studio)
        .route("/", get(files::index))
        // Browsers ask for it.
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/{name}", get(files::asset))
        .fallback(|| async { api::Failure(Error::new(Status::NotFound, "there is no such page")) })
        .layer(from_fn_with_state(Arc::new(access), access::guard))
}

/// Serves a project until Ctrl+C or the request to end. `bound` is told the address and returns who may use it.
///
/// # Errors
/// [`Status::Io`](npad::error::Status::Io) when the address cannot be listened on.
pub fn serve(studio: Arc<Studio>, address: SocketAddr, bound: impl FnOnce(SocketAddr) -> Result<Access>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|e| Error::io("cannot start the server's threads", &e))?;
    let served = runtime.block_on(async {
        let failed =
            |e: std::io::Error| Error::io(format!("cannot listen on {address}; --port takes another port"), &e);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let access = bound(listener.local_addr().map_err(failed)?)?;
        let server = axum::serve(listener, router(studio.clone(), access)).into_future();
        // Browsers keep connections open, which must not hold up the end.
        tokio::select! {
            served = server => served.map_err(|e| Error::io("the server has failed", &e)),
            () = asked_to_end() => Ok(()),
        }
    });
    studio.live.finish().iter().for_each(|error| note(error));
    runtime.shutdown_background();
    served
}

async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = interrupted.await;
}
