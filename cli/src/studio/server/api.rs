//! What the page asks for and changes, as JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::studio::jobs::Outcome;
use crate::studio::live::{Live, Source};
use crate::studio::project::{Label, Project};
use crate::studio::state::Studio;
use crate::studio::teach::{Lesson, Update, capture as capture_images, is_for_page};
use crate::studio::upload::{LARGEST, Target, save};
use crate::studio::versions::Origin;
use crate::studio::{camera, report as reports};
use npad::error::{Error, Result, Status};
use npad::model::{OptionInfo, OptionKind, Thresholds};

type Shared = State<Arc<Studio>>;

/// Time in which the body of a request comes.
const STALLED: Duration = Duration::from_secs(10);

/// An answer, or what went wrong.
pub type Answer<T> = std::result::Result<T, Failure>;

/// An error as the page shows it.
pub struct Failure(pub Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = match self.0.status() {
            Status::NotFound => StatusCode::NOT_FOUND,
            Status::WrongState => StatusCode::CONFLICT,
            Status::InvalidArgument | Status::InvalidOption | Status::InvalidImage | Status::NotEnoughImages => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (code, Json(json!({"error": self.0.message()}))).into_response()
    }
}

/// Does what may take a while apart from the threads that serve connections.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Answer<T> {
    let done = tokio::task::spawn_blocking(work).await;
    let defect = |_| Error::new(Status::Internal, "the request failed, which is a defect of npad: please report it");
    Ok(done.map_err(defect)??)
}

async fn answer(work: impl FnOnce() -> Result<Value> + Send + 'static) -> Answer<Json<Value>> {
    blocking(work).await.map(Json)
}

/// A body in JSON, whose errors are shown like all others.
pub struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let read = timeout(STALLED, Json::<T>::from_request(request, state)).await;
        let late = |_| Error::new(Status::InvalidArgument, format!("no request came within {} s", STALLED.as_secs()));
        let Json(value) = read.map_err(late)?.map_err(|e| Error::new(Status::InvalidArgument, e.body_text()))?;
        Ok(Self(value))
    }
}

/// What an address asks for, whose errors are shown like all others.
pub struct Asked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        let Query(value) = read.map_err(|e| Error::new(Status::InvalidArgument, e.body_text()))?;
        Ok(Self(value))
    }
}

fn started(job: Result<u64>) -> Answer<(StatusCode, Json<Value>)> {
    Ok((StatusCode::ACCEPTED, Json(json!({"job": job?}))))
}

pub async fn project(State(studio): Shared) -> Answer<Json<Value>> {
    answer(move || Ok(studio.describe())).await
}

pub async fn status(State(studio): Shared) -> Json<Value> {
    Json(studio.status())
}

pub async fn options() -> Json<Value> {
    let all = npad::model::options();
    let of = |info: &OptionInfo| {
        let OptionInfo { name, kind, default, range, help } = info;
        let choices = range.strip_prefix("one of ").filter(|_| *kind == OptionKind::Choice);
        let kind = match kind {
            OptionKind::Integer => "integer",
            OptionKind::Number => "number",
            OptionKind::Choice => "choice",
            OptionKind::Flags => "flags",
            OptionKind::Text => "text",
            OptionKind::Path => "path",
        };
        let choices = choices.map(|words| words.split(", ").collect::<Vec<_>>());
        let method = name.split_once('.').map(|(method, _)| method);
        json!({
            "name": name, "kind": kind, "default": default, "range": range, "choices": choices, "help": help, "method": method
        })
    };
    let shown: Vec<Value> = all.iter().filter(|info| is_for_page(info.name)).map(of).collect();
    let mut methods: Vec<&str> = all.iter().filter_map(|info| Some(info.name.split_once('.')?.0)).collect();
    methods.dedup();
    Json(json!({"methods": methods, "options": shown}))
}

pub async fn teach(State(studio): Shared, Body(lesson): Body<Lesson>) -> Answer<(StatusCode, Json<Value>)> {
    // What is wrong is said at once, not by a job that ends.
    let (checked, of_check) = (lesson.clone(), studio.clone());
    blocking(move || checked.options(&of_check).and_then(|_| checked.images(&of_check))).await?;
    started(studio.start_job("teach", |studio, job| lesson.teach(studio, job)))
}

#[derive(Deserialize)]
pub struct Cancel {
    job: u64,
}

pub async fn cancel(State(studio): Shared, Body(Cancel { job }): Body<Cancel>) -> Json<Value> {
    studio.jobs.cancel(job);
    Json(json!({}))
}

#[derive(Deserialize)]
pub struct Numbered {
    version: u32,
}

/// Versions are locked for moments while one is written.
async fn check_version(studio: &Arc<Studio>, number: u32) -> Answer<()> {
    let studio = studio.clone();
    blocking(move || studio.versions().get(number).map(|_| ())).await
}

#[derive(Deserialize)]
pub struct OfVersion {
    version: Option<u32>,
}

pub async fn images(State(studio): Shared, Asked(OfVersion { version }): Asked<OfVersion>) -> Answer<Json<Value>> {
    answer(move || studio.images(version)).await
}

pub async fn score(
    State(studio): Shared,
    Body(Numbered { version }): Body<Numbered>,
) -> Answer<(StatusCode, Json<Value>)> {
    check_version(&studio, version).await?;
    started(studio.start_job("score", move |studio, job| {
        studio.complete_scores(version, job)?;
        Ok(Outcome::default())
    }))
}

#[derive(Deserialize)]
pub struct Mark {
    path: String,
    label: Option<Label>,
}

pub async fn mark(State(studio): Shared, Body(Mark { path, label }): Body<Mark>) -> Answer<Json<Value>> {
    answer(move || {
        let path = Project::normal(&path);
        // The mark of an image that is gone can be taken back.
        if label.is_some() {
            studio.project.file(&path)?;
        }
        studio.marks().set(&path, label)?;
        studio.changed();
        Ok(json!({}))
    })
    .await
}

pub async fn update(State(studio): Shared, Body(update): Body<Update>) -> Answer<(StatusCode, Json<Value>)> {
    check_version(&studio, update.version).await?;
    started(studio.start_job("update", move |studio, job| update.make(studio, job)))
}

#[derive(Deserialize)]
pub struct NewThresholds {
    version: u32,
    threshold: f32,
    review: f32,
}

pub async fn thresholds(State(studio): Shared, Body(new): Body<NewThresholds>) -> Answer<Json<Value>> {
    answer(move || {
        let NewThresholds { version, threshold, review } = new;
        let parent = studio.versions().get(version)?.origin.clone();
        let model = studio.model(version)?.with_thresholds(Thresholds { review, defective: threshold })?;
        let change = if review == threshold {
            format!("Threshold set to {threshold:.4}")
        } else {
            format!("Threshold set to {threshold:.4}, review from {review:.4}")
        };
        let scores = studio.scores(version).as_ref().clone().for_other_thresholds();
        // Warnings are about the threshold of before.
        let origin = Origin { parent: Some(version), change, warnings: Vec::new(), ..parent };
        let before = studio.versions().current();
        let number = studio.add_version(&model, origin, before)?;
        // They can be computed again where the disk is full.
        let _ = studio.set_scores(number, scores);
        Ok(json!({"version": number}))
    })
    .await
}

pub async fn current(State(studio): Shared, Body(Numbered { version }): Body<Numbered>) -> Answer<Json<Value>> {
    answer(move || {
        studio.versions().set_current(version)?;
        studio.changed();
        Ok(json!({}))
    })
    .await
}

pub async fn report(
    State(studio): Shared,
    Body(Numbered { version }): Body<Numbered>,
) -> Answer<(StatusCode, Json<Value>)> {
    check_version(&studio, version).await?;
    started(studio.start_job("report", move |studio, job| reports::make(studio, job, version)))
}

#[derive(Deserialize)]
pub struct Upload {
    folder: Target,
    name: String,
}

/// Uploads that are received at a time; further ones wait.
static UPLOADS: Semaphore = Semaphore::const_new(4);
/// Least bytes in a second of an upload.
const SLOWEST: usize = 50_000;

pub async fn upload(
    State(studio): Shared,
    Asked(Upload { folder, name }): Asked<Upload>,
    body: axum::body::Body,
) -> Answer<Json<Value>> {
    let turn = UPLOADS.acquire().await;
    let bytes = received(&name, body).await?;
    answer(move || {
        let saved = save(&studio, folder, &name, &bytes);
        drop(turn);
        Ok(json!({"path": saved?}))
    })
    .await
}

async fn received(name: &str, mut body: axum::body::Body) -> Result<Vec<u8>> {
    let failed = |why: String| Error::new(Status::InvalidImage, format!("{name} could not be received: {why}"));
    let (start, mut bytes) = (Instant::now(), Vec::new());
    loop {
        let time = STALLED + Duration::from_secs((bytes.len() / SLOWEST) as u64);
        let frame = timeout(time.saturating_sub(start.elapsed()), body.frame()).await;
        let frame =
            frame.map_err(|_| failed(format!("only {} bytes came within {} s", bytes.len(), time.as_secs())))?;
        let Some(frame) = frame else { return Ok(bytes) };
        if let Ok(data) = frame.map_err(|e| failed(e.to_string()))?.into_data() {
            if bytes.len() + data.len() > LARGEST {
                return Err(failed(format!("an image has at most {} MB", LARGEST >> 20)));
            }
            bytes.extend_from_slice(&data);
        }
    }
}

pub async fn live(State(studio): Shared) -> Answer<Json<Value>> {
    answer(move || Ok(studio.live.describe(&studio))).await
}

/// What is to be inspected, or that nothing is any more.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLive {
    folder: Option<String>,
    camera: Option<String>,
    #[serde(default)]
    stop: bool,
}

pub async fn set_live(State(studio): Shared, Body(set): Body<SetLive>) -> Answer<Json<Value>> {
    answer(move || {
        match set {
            SetLive { folder: Some(folder), camera: None, stop: false } => {
                Live::start(&studio, Source::Folder(folder))?
            }
            SetLive { folder: None, camera: Some(id), stop: false } => Live::start(&studio, Source::Camera(id))?,
            SetLive { folder: None, camera: None, stop: true } => studio.live.stop(),
            _ => {
                let message = "expected one of: \"folder\" with a path, \"camera\" with a name, \"stop\" with true";
                return Err(Error::new(Status::InvalidArgument, message));
            }
        }
        Ok(json!({}))
    })
    .await
}

pub async fn cameras() -> Answer<Json<Value>> {
    answer(|| {
        let (cameras, error) = match camera::cameras() {
            Ok(cameras) => (cameras, None),
            Err(error) => (Vec::new(), Some(error.message().to_owned())),
        };
        let cameras: Vec<Value> = cameras.iter().map(|camera| json!({"id": camera.id, "name": camera.name})).collect();
        Ok(json!({"cameras": cameras, "error": error}))
    })
    .await
}

/// Most images that one request takes.
const MOST_FRAMES: usize = 1000;

#[derive(Deserialize)]
pub struct Capture {
    camera: String,
    count: usize,
}

pub async fn capture(
    State(studio): Shared,
    Body(Capture { camera, count }): Body<Capture>,
) -> Answer<(StatusCode, Json<Value>)> {
    if !(1..=MOST_FRAMES).contains(&count) {
        let message = format!("{count} images of a camera: expected 1 to {MOST_FRAMES}");
        return Err(Error::new(Status::InvalidArgument, message).into());
    }
    started(studio.start_job("capture", move |studio, job| capture_images(studio, job, &camera, count)))
}

pub async fn snippets() -> Json<Value> {
    Json(json!({"cpp": include_str!("../page/score.cpp"), "csharp": include_str!("../page/Score.cs")}))
}
