//! Results to a web address, one at a time, in their order.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::http::uri::Authority;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};

use super::queue::Queue;

/// Time that a host has to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_secs(1);

/// Reads `http://HOST[:PORT]/PATH`.
pub fn parse(url: &str) -> Option<hyper::Uri> {
    let uri = url.parse::<hyper::Uri>().ok()?;
    let is_place = |place: &&Authority| {
        let port = place.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        let is_port = port.is_none_or(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
        is_port && !place.host().is_empty() && !place.as_str().contains('@')
    };
    let place = uri.authority().filter(is_place);
    (uri.scheme_str() == Some("http") && place.is_some()).then_some(uri)
}

/// The name without the query, which may hold a key.
pub fn name(uri: &hyper::Uri) -> String {
    format!("http://{}{}", uri.authority().map_or("", |place| place.as_str()), uri.path())
}

/// Posts results until the queue is closed and empty. A host that is away or overloaded is asked again; what it refuses is not.
pub async fn post(uri: hyper::Uri, queue: Arc<Queue>) {
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    while let Some(line) = queue.first().await {
        let body = Full::from(Bytes::copy_from_slice(line.as_bytes()));
        let request = hyper::Request::post(uri.clone()).header("content-type", "application/json").body(body);
        let Ok(request) = request else { return };
        let trouble = match timeout(TIMEOUT, client.request(request)).await {
            Ok(Ok(response)) if response.status().is_success() => {
                queue.taken();
                continue;
            }
            Ok(Ok(response)) if !is_temporary(response.status()) => {
                queue.refused(response.status().to_string());
                continue;
            }
            Ok(Ok(response)) => format!("the host answers {}", response.status()),
            Ok(Err(error)) => format!("cannot post: {error}"),
            Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
        };
        queue.waits(Some(trouble));
        sleep(AGAIN).await;
    }
}

fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}
