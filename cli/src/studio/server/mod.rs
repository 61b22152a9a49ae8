//! The studio's server: the page, its pictures, and what it may ask for.

pub mod access;
mod api;
mod files;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
#[cfg(unix)]
use std::sync::LazyLock;
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
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::access::Access;
use super::state::Studio;
use crate::terminal::note;
use npad::error::{Error, Result, Status};

/// Largest body of a request that is no upload.
const LARGEST_REQUEST: usize = 1 << 20;

/// Threads for what may take a while. Fewer requests hold an image at a time.
const WORKERS: usize = 16;
/// Maximum number of connections, well below that of open files, the time that each has for the head of its next request, and the
/// time after which it takes no further request and then ends.
const CONNECTIONS: usize = 128;
const PATIENCE: Duration = Duration::from_secs(10);
const LIFETIME: Duration = Duration::from_secs(300);
const FAREWELL: Duration = Duration::from_secs(60);

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
    // They end with this function, so that nothing more is begun.
    let mut served = JoinSet::new();
    loop {
        while served.try_join_next().is_some() {}
        let Ok(turn) = connections.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // There may be files to open again soon.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        served.spawn(async move {
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
            // What ends a connection is nobody's concern but the browser's.
            if timeout(LIFETIME, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(FAREWELL, connection).await;
            }
            drop(turn);
        });
    }
}

/// Waits for Ctrl+C, and where there are such signals for the one that ends a process or closes its terminal. Those that were
/// ignored before, by nohup for example, stay ignored.
async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let wanted = kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value()));
        let mut ends = JoinSet::new();
        for mut end in wanted.filter_map(|kind| signal(kind).ok()) {
            ends.spawn(async move { end.recv().await });
        }
        if ends.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
    #[cfg(not(unix))]
    let _ = tokio::signal::ctrl_c().await;
}

/// Whether a signal was ignored when the process began. Elsewhere than on Linux it counts as not ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    static AT_START: LazyLock<u64> = LazyLock::new(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
    });
    *AT_START >> (signal - 1) & 1 == 1
}
