//! One view of all versions for each request.

use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::Answer;
use crate::view::snapshot;

/// Answers each request inside of a [`snapshot`](crate::snapshot): its cached calls agree on the version
/// of each tag, which is read once.
///
/// So a bump that comes while a request is answered may not be seen by the rest of it, but for its own.
/// Not for connections that live long, such as those of websockets, where they are one request.
///
/// ```
/// # use fragkeys_runtime::tower::SnapshotLayer;
/// # #[cfg(any())]
/// let app = axum::Router::new().route("/", get(page)).layer(SnapshotLayer::new());
/// # let _ = SnapshotLayer::new();
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SnapshotLayer {}

impl SnapshotLayer {
    /// The layer. It has nothing to choose.
    #[must_use]
    pub fn new() -> Self {
        SnapshotLayer {}
    }
}

impl<S> Layer<S> for SnapshotLayer {
    type Service = Snapshot<S>;

    fn layer(&self, inner: S) -> Snapshot<S> {
        Snapshot { inner }
    }
}

/// The service that [`SnapshotLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct Snapshot<S> {
    inner: S,
}

impl<S, Q> Service<Q> for Snapshot<S>
where
    S: Service<Q>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Answer<S::Response, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        Box::pin(snapshot(self.inner.call(request)))
    }
}
