//! What is no JSON: the page's own files, pictures, and what a version's folder holds.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::api::{Answer, Asked, Failure, blocking};
use crate::studio::pictures::Request;
use crate::studio::report;
use crate::studio::state::Studio;
use npad::error::{Error, Status};

macro_rules! assets {
    ($($name:literal),+ $(,)?) => {
        /// The files of the page by name.
        const ASSETS: &[(&str, &str)] = &[$(($name, include_str!(concat!("../page/", $name)))),+];
    };
}

assets![
    "index.html",
    "style.css",
    "api.js",
    "badge.js",
    "cameras.js",
    "compare.js",
    "detail.js",
    "dom.js",
    "drift.js",
    "format.js",
    "grid.js",
    "histogram.js",
    "jobs.js",
    "judge.js",
    "live.js",
    "livechart.js",
    "main.js",
    "message.js",
    "options.js",
    "review.js",
    "roi.js",
    "store.js",
    "teach.js",
    "thresholds.js",
    "update.js",
    "upload.js",
    "use.js",
    "versions.js",
];

/// The page.
pub async fn index() -> Response {
    asset(Path("index.html".to_owned())).await
}

/// A file of the page.
pub async fn asset(Path(name): Path<String>) -> Response {
    let Some((_, contents)) = ASSETS.iter().find(|(asset, _)| *asset == name) else {
        return Failure(Error::new(Status::NotFound, "there is no such page")).into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        _ => "text/html; charset=utf-8",
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], *contents).into_response()
}

#[derive(Deserialize)]
pub struct PictureQuery {
    path: String,
    #[serde(default)]
    size: u32,
    version: Option<u32>,
    threshold: Option<f32>,
    review: Option<f32>,
    mask: Option<u8>,
}

/// Pictures that are drawn at a time; each may decode an image of 512 MB.
static DRAWING: Semaphore = Semaphore::const_new(2);

/// A picture. The browser keeps it and asks whether it is still the same.
pub async fn picture(
    State(studio): State<Arc<Studio>>,
    Asked(query): Asked<PictureQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    let PictureQuery { path, size, version, threshold, review, mask } = query;
    let request = Request {
        path,
        size: (size > 0).then_some(size),
        version,
        thresholds: threshold.map(|threshold| (review.unwrap_or(threshold), threshold)),
        mask: mask == Some(1),
    };
    let known = headers.get(header::IF_NONE_MATCH).cloned();
    let (of_look, shared) = (request.clone(), studio.clone());
    let (tag, made) = blocking(move || {
        let tag = of_look.tag(&shared)?;
        let made = of_look.made(&shared, &tag);
        Ok((tag, made))
    })
    .await?;
    let quoted = format!("\"{tag}\"");
    let cache = [(header::ETAG, quoted.clone()), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    if known.is_some_and(|known| known.as_bytes() == quoted.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, cache).into_response());
    }
    let jpeg = match made {
        Some(jpeg) => jpeg,
        None => {
            let turn = DRAWING.acquire().await;
            // A browser that no longer waits does not give the turn to another one.
            blocking(move || {
                let made = request.make(&studio, &tag);
                drop(turn);
                made
            })
            .await?
        }
    };
    Ok((cache, [(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response())
}

#[derive(Deserialize)]
pub struct Numbered {
    version: u32,
}

fn read(studio: &Studio, version: u32, name: &str) -> npad::error::Result<Vec<u8>> {
    let versions = studio.versions();
    versions.get(version)?;
    let file = versions.file(version, name);
    drop(versions);
    std::fs::read(&file).map_err(|e| crate::output::file_error("cannot read", &file, &e))
}

/// The calibration card.
pub async fn card(State(studio): State<Arc<Studio>>, Asked(of): Asked<Numbered>) -> Answer<Response> {
    blocking(move || {
        let text = read(&studio, of.version, "card.txt")?;
        Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
    })
    .await
}

/// The model file.
pub async fn model(State(studio): State<Arc<Studio>>, Asked(of): Asked<Numbered>) -> Answer<Response> {
    blocking(move || {
        let bytes = read(&studio, of.version, "model.npad")?;
        let name = studio.project.root().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        let name: String = name.chars().map(|letter| if plain(letter) { letter } else { '-' }).collect();
        let disposition = format!("attachment; filename=\"{name}-v{}.npad\"", of.version);
        let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
            (header::CONTENT_DISPOSITION, disposition),
        ];
        Ok((headers, Body::from(bytes)).into_response())
    })
    .await
}

/// The report. It has its styles and pictures inside, and no scripts.
pub async fn report(State(studio): State<Arc<Studio>>, Asked(of): Asked<Numbered>) -> Answer<Response> {
    blocking(move || {
        let page = read(&studio, of.version, report::FILE)?;
        let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox";
        let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
        Ok((headers, page).into_response())
    })
    .await
}
