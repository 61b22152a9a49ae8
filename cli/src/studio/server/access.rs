//! Who may use the page. Pages of other sites can send requests to this machine, and names of other sites can be made to mean it, so
//! requests must come from the page itself; beyond this machine, the token that the terminal shows is needed as well.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use crate::studio::token;
use npad::error::Result;

/// Sent by the page with all that changes something: the name of the studio that it belongs to, or 1. A form of another site cannot
/// send it.
const OWN_HEADER: &str = "x-npad-studio";

/// Nothing but the studio's own files is loaded, no other site shows the page in a frame, and nobody guesses types of contents.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The rules for an address.
#[derive(Debug)]
pub struct Access {
    address: SocketAddr,
    /// Needed on any address but that of this machine alone.
    token: Option<String>,
    /// Each studio of a machine has its own, since browsers send cookies to all ports.
    cookie: String,
    /// The name of the studio that runs.
    instance: String,
}

/// Why a request is refused.
type Refusal = (StatusCode, &'static str);

impl Access {
    /// The rules for an address that is listened on, with a token of its own if it can be reached from other machines.
    ///
    /// # Errors
    /// [`Status::Io`] when the system has no random numbers.
    pub fn new(address: SocketAddr, instance: &str) -> Result<Self> {
        let token = (!address.ip().is_loopback()).then(token::random).transpose()?;
        let cookie = format!("npad-studio-{}", address.port());
        Ok(Self { address, token, cookie, instance: instance.to_owned() })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        let query = self.token.as_ref().map(|token| format!("?token={token}")).unwrap_or_default();
        if self.address.ip().is_unspecified() {
            return format!("http://localhost:{}/{query}", self.address.port());
        }
        format!("http://{}/{query}", self.address)
    }

    /// Why a request is refused; none if it is not.
    fn refusal(&self, method: &Method, headers: &HeaderMap) -> Option<Refusal> {
        let forbidden = |why| Some((StatusCode::FORBIDDEN, why));
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let host = text("host").unwrap_or_default();
        let has_port = |(_, port): &(&str, &str)| !port.ends_with(']');
        let name = host.rsplit_once(':').filter(has_port).map_or(host, |(name, _)| name);
        let own = self.address.ip().to_string();
        if self.token.is_none() && !["localhost", "127.0.0.1", "[::1]", &own].contains(&name) {
            return forbidden("open the page by the address that npad studio has printed");
        }
        // A proxy before the studio may speak https.
        let is_other = |origin: &str| origin.split_once("://").is_none_or(|(_, place)| place != host);
        if text("origin").is_some_and(is_other)
            || text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site))
        {
            return forbidden("requests of other sites are refused");
        }
        if self.token.as_ref().is_some_and(|token| !self.cookies(headers).any(|cookie| same(cookie, token))) {
            return forbidden("open the page by the address with the token that npad studio has printed");
        }
        if method == Method::GET || method == Method::HEAD {
            return None;
        }
        match text(OWN_HEADER) {
            None => forbidden("the header x-npad-studio is missing"),
            Some(instance) if instance != "1" && instance != self.instance => {
                Some((StatusCode::CONFLICT, "npad studio was started anew: load the page again"))
            }
            Some(_) => None,
        }
    }

    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|value| value.split(';'));
        pairs.filter_map(|pair| pair.trim().strip_prefix(&self.cookie)?.strip_prefix('='))
    }

    /// The answer to a request that brings the token: a cookie, and a page that goes on to the address without the token. A redirect
    /// would not do, since a browser that comes from a link on another site would not send the cookie with it.
    fn admission(&self, request: &Request) -> Option<Response> {
        let query = request.uri().query().filter(|_| request.uri().path() == "/")?;
        let token = self.token.as_ref()?;
        let given = query.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        let cookie = format!("{}={token}; HttpOnly; SameSite=Strict; Path=/", self.cookie);
        let cookie = HeaderValue::from_str(&cookie).ok().filter(|_| same(given, token))?;
        let page = r#"<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>npad studio</title>"#;
        Some(([(header::SET_COOKIE, cookie)], Html(page)).into_response())
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// Refuses requests that break the rules, and adds the headers that browsers need.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let mut response = match (access.admission(&request), access.refusal(request.method(), request.headers())) {
        (Some(admission), _) => admission,
        (None, Some((code, why))) => (code, axum::Json(serde_json::json!({"error": why}))).into_response(),
        (None, None) => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn on_this_machine_the_page_alone_may_ask() {
        let access = Access::new("127.0.0.1:7690".parse().unwrap(), "me").unwrap();
        assert_eq!(access.url(), "http://127.0.0.1:7690/");
        let refused =
            |method: Method, pairs: &[(&'static str, &str)]| access.refusal(&method, &headers(pairs)).is_some();
        let host = ("host", "127.0.0.1:7690");
        assert!(!refused(Method::GET, &[host]) && !refused(Method::GET, &[("host", "localhost:7690")]));
        assert!(!refused(Method::GET, &[("host", "[::1]")]) && !refused(Method::GET, &[("host", "[::1]:7690")]));
        assert!(
            refused(Method::GET, &[]) && refused(Method::GET, &[("host", "evil.example:7690")]),
            "a name made to mean this machine"
        );
        assert!(refused(Method::POST, &[host]), "a form of another site");
        assert!(!refused(Method::POST, &[host, ("x-npad-studio", "1"), ("origin", "http://127.0.0.1:7690")]));
        for other in ["http://evil.example", "null", "http://127.0.0.1:80", "http://127.0.0.1:7690.evil.example"] {
            assert!(refused(Method::POST, &[host, ("x-npad-studio", "1"), ("origin", other)]), "{other}");
        }
        let code = |instance: &str| {
            access.refusal(&Method::POST, &headers(&[host, ("x-npad-studio", instance)])).map(|(code, _)| code)
        };
        assert_eq!(
            (code("me"), code("1"), code("other")),
            (None, None, Some(StatusCode::CONFLICT)),
            "a page of another run"
        );
        assert!(refused(Method::GET, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!refused(Method::GET, &[host, ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn other_machines_need_the_token() {
        let access = Access::new("192.168.1.5:7690".parse().unwrap(), "me").unwrap();
        let token = access.token.clone().unwrap();
        assert!(token.len() == 32 && access.url().ends_with(&format!("/?token={token}")));
        assert_ne!(Access::new("0.0.0.0:1".parse().unwrap(), "me").unwrap().token, Some(token.clone()));
        let refused =
            |cookie: &str| access.refusal(&Method::GET, &headers(&[("host", "line3"), ("cookie", cookie)])).is_some();
        assert!(
            refused("a=b") && refused("npad-studio-7690=") && refused(&format!("npad-studio-7690={}", "0".repeat(32)))
        );
        assert!(!refused(&format!("npad-studio-7691=1; npad-studio-7690={token}")));
        let open = |path: &str| access.admission(&Request::get(path).body(axum::body::Body::empty()).unwrap());
        assert!(
            open("/").is_none()
                && open("/?token=1").is_none()
                && open(&format!("/api/project?token={token}")).is_none()
        );
        let admitted = open(&format!("/?token={token}")).unwrap();
        let cookie = admitted.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    }
}
