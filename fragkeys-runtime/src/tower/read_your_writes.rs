//! Who wrote something reads it back.

use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HeaderName;
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::Answer;
use super::carrier::{Carrier, is_cookie_name};
use crate::bumps::bumps_in;
use crate::error::{Error, ErrorKind};
use crate::view::at_least;

const SHORTEST: Duration = Duration::from_secs(1);
/// No version is believed that is further ahead.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Has who wrote something read it back, whichever process answers next, and however late its near tier is.
///
/// The response to a request that has bumped something ([`bumps_in`]) carries what it bumped, as a short text
/// in a cookie or a header. The requests that bring it back are answered inside of
/// [`at_least`](crate::at_least): their cached calls see at least those bumps. What
/// they bump is added. Other requests are answered as if this were not here.
///
/// A text that is none, that is longer than 1,024 bytes or was made up is never an error. One that names
/// versions to come has the calls of its sender run that depend on those tags, each for itself: bound what
/// one client may ask for, as without a cache. It names tags in clear, with what stands in them; so keep secrets out of tags.
/// A request that bumps more than 1,024 bytes can name is remembered as having
/// bumped more, and then the near tier is left out for the sender's reads.
///
/// ```
/// # use std::time::Duration;
/// # use fragkeys_runtime::tower::ReadYourWritesLayer;
/// let layer = ReadYourWritesLayer::new().secure(true).max_age(Duration::from_secs(60));
/// # #[cfg(any())]
/// let app = axum::Router::new().route("/name", post(rename)).layer(layer);
/// # let _ = layer;
/// ```
///
/// A response that sets a cookie is for one user alone: see that no proxy keeps it.
///
/// [`bumps_in`]: crate::bumps_in
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is added to a service"]
pub struct ReadYourWritesLayer {
    carrier: Carrier,
    max_age: Duration,
}

impl ReadYourWritesLayer {
    /// A cookie called `fragkeys-bumped`: `HttpOnly`, `SameSite=Lax`, for all paths.
    pub fn new() -> Self {
        let carrier = Carrier::Cookie { name: "fragkeys-bumped".to_owned(), is_secure: false };
        ReadYourWritesLayer { carrier, max_age: Duration::from_secs(300) }
    }

    /// Another name for the cookie, for which a prefix such as `__Host-` may be a reason.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if a cookie cannot be called so.
    pub fn cookie(mut self, name: impl Into<String>) -> Result<Self, Error> {
        let name = name.into();
        if !is_cookie_name(&name) {
            let message =
                format!("a cookie cannot be called {name:?}: take letters, digits, `-` and `_`");
            return Err(Error::new(ErrorKind::Config, message));
        }
        let is_secure = matches!(self.carrier, Carrier::Cookie { is_secure: true, .. });
        self.carrier = Carrier::Cookie { name, is_secure };
        Ok(self)
    }

    /// A header of this name in the place of a cookie, in responses and in the requests after them: for
    /// clients that are programs, which send back what they were given last.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.carrier = Carrier::Header(name);
        self
    }

    /// Has the cookie sent over HTTPS only. Default: `false`, since it would not come back without
    /// HTTPS. It is no secret of the server's, but it says what a user does.
    pub fn secure(mut self, is_secure: bool) -> Self {
        if let Carrier::Cookie { is_secure: it, .. } = &mut self.carrier {
            *it = is_secure;
        }
        self
    }

    /// For how long after a bump its sender's reads mind it. Default: 5 minutes. At least a second, at most
    /// a day; what is outside of that is taken for the nearer one.
    ///
    /// It must be longer than a near tier may be late ([`Near::max_staleness`](crate::Near::max_staleness),
    /// by default a second).
    pub fn max_age(mut self, time: Duration) -> Self {
        self.max_age = time.clamp(SHORTEST, LONGEST);
        self
    }
}

impl Default for ReadYourWritesLayer {
    fn default() -> Self {
        ReadYourWritesLayer::new()
    }
}

impl<S> Layer<S> for ReadYourWritesLayer {
    type Service = ReadYourWrites<S>;

    fn layer(&self, inner: S) -> ReadYourWrites<S> {
        ReadYourWrites { inner, layer: self.clone() }
    }
}

/// The service that [`ReadYourWritesLayer`] makes of another.
#[derive(Clone, Debug)]
pub struct ReadYourWrites<S> {
    inner: S,
    layer: ReadYourWritesLayer,
}

impl<S, Q, R> Service<Request<Q>> for ReadYourWrites<S>
where
    S: Service<Request<Q>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Answer<Response<R>, S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let ReadYourWritesLayer { carrier, max_age } = self.layer.clone();
        // What is too old is minded by all by now, and a client that never forgets is not punished for it.
        let seen = carrier.read(request.headers()).of_the_last(max_age);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let (response, mut bumped) = match seen.is_empty() && !seen.is_partial() {
                true => bumps_in(answer).await,
                false => bumps_in(at_least(seen.clone().without_root(), answer)).await,
            };
            let mut response = match response {
                Ok(response) => response,
                Err(error) => return Err(error),
            };
            if !bumped.is_empty() || bumped.is_partial() {
                // The newest first: there may not be room for all.
                bumped.merge(seen);
                carrier.write(&bumped, max_age, response.headers_mut());
            }
            Ok(response)
        })
    }
}
