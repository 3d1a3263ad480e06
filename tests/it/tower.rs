//! Layers of a server: whoever writes something reads it back, and one view for each request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use fragkeys::tower::{ReadYourWritesLayer, SnapshotLayer};
use fragkeys::{Bumped, Cache, ErrorKind, Near, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;
use tower::ServiceExt as _;

use crate::support::{self, alone, eventually, patient, redis_cache, worker_with};

mod carried;
mod served;

const LONG: Duration = Duration::from_secs(600);

/// What all processes write to and read from.
#[derive(Default)]
struct Database([AtomicU64; 2]);

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn row(database: &Database, id: usize) -> u64 {
    database.0[id].load(Ordering::SeqCst)
}

/// One process: its cache, and the database.
#[derive(Clone)]
struct Process {
    cache: Cache,
    database: Arc<Database>,
}

async fn read(State(process): State<Process>, Path(id): Path<usize>) -> String {
    let call = observe(row(&process.database, id));
    let (value, outcome) = with_cache(process.cache, call).await;
    format!("{value} {}", outcome.unwrap())
}

async fn write(State(process): State<Process>, Path(id): Path<usize>) -> StatusCode {
    process.database.0[id].fetch_add(1, Ordering::SeqCst);
    match process.cache.invalidate([Tag::new("Row", id)]).await {
        Ok(_) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::ACCEPTED,
    }
}

fn app(process: &Process, layer: ReadYourWritesLayer) -> Router {
    let router = Router::new().route("/{id}", get(read)).route("/{id}", post(write));
    router.layer(layer).with_state(process.clone())
}

/// One request with these headers.
async fn ask(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    assert!(response.status().is_success(), "{response:?}");
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

/// The cookie that a response sets, if it does, and its attributes.
fn cookie(response: &Response<Body>) -> Option<(String, String)> {
    let cookie = response.headers().get("set-cookie")?.to_str().unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    Some((pair.to_owned(), attributes.to_owned()))
}

/// What was bumped, by the cookie that a response sets.
fn bumped(response: &Response<Body>) -> Bumped {
    let (pair, _) = cookie(response).unwrap();
    pair.strip_prefix("fragkeys-bumped=").unwrap().parse().unwrap()
}

async fn near(server: &RedisServer) -> Cache {
    let near = Near::new().max_staleness(LONG);
    alone(server.url(), "tower").near(near).build().await.unwrap()
}
