//! The studio's server: the page, its pictures, and what it may ask for.

pub mod access;
mod api;
mod files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use self::access::Access;
use super::state::Studio;
use crate::terminal::note;
use npad::error::{Error, Result, Status};

/// Largest body of a request that is no upload.
const LARGEST_REQUEST: usize = 1 << 20;

/// Threads for what may take a while. Fewer requests hold an image at a time.
const WORKERS: usize = 16;
/// Maximum number of connections, well below that of open files, and the time that each has for the head of its next request.
const CONNECTIONS: usize = 128;
const PATIENCE: Duration = Duration::from_secs(10);

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
        .route("/api/upload", put(api::upload))
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
        // Browsers keep connections open, which must not hold up the end.
        tokio::select! {
            () = accept(listener, router(studio.clone(), access)) => {}
            () = asked_to_end() => {}
        }
        // Who asks again does not want to wait.
        tokio::select! {
            errors = tokio::task::spawn_blocking(move || studio.live.finish()) => {
                errors.unwrap_or_default().iter().for_each(|error| note(error));
            }
            () = asked_to_end() => {}
        }
        Ok(())
    });
    runtime.shutdown_background();
    served
}

async fn accept(listener: TcpListener, router: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(turn) = connections.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // There may be files to open again soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // What ends a connection is nobody's concern but the browser's.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            drop(turn);
        });
    }
}

/// Waits for Ctrl+C, and where there are such signals for the one that ends a process or closes its terminal.
async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut terminated), Ok(mut closed)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
                _ = closed.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
