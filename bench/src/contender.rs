//! Who is measured: one file each. A contender is a function from an id to the future of its
//! value, with all values filled in.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};

use crate::race::{BoxFuture, Racer, Slice, slice};
use crate::value::{self, Page, Size};

mod cached_memory;
mod cached_redis;
mod fragkeys_memory;
mod fragkeys_near;
mod fragkeys_redis;
mod hitbox_moka;
mod hitbox_redis;
mod moka;
mod naive;
mod packed;
mod quick_cache;
mod raw;

/// Where the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Redis,
    Process,
}

/// Somebody in the race.
pub struct Entrant {
    pub name: &'static str,
    pub place: Place,
    pub racer: Arc<dyn Racer>,
}

impl Place {
    /// The one that all others of this place are divided by.
    #[must_use]
    pub fn base(self) -> &'static str {
        match self {
            Place::Redis => raw::NAME,
            Place::Process => quick_cache::NAME,
        }
    }
}

/// The one of ours that people should look at.
pub const HEADLINE: &str = fragkeys_redis::TWO_TAGS;

impl Entrant {
    fn new(name: &'static str, place: Place, hit: impl AsyncHit) -> Self {
        Entrant { name, place, racer: Arc::new(Contender(hit)) }
    }
}

/// All of them, or those whose names have one of the texts in them; the bases are always there.
pub async fn open_all(url: &str, wanted: &[String]) -> Vec<Entrant> {
    let mut entrants = vec![
        raw::open(url, raw::NAME, true).await,
        raw::open(url, raw::NAME_WITH_NAGLE, false).await,
        packed::open(url).await,
    ];
    entrants.extend(fragkeys_redis::open(url).await);
    entrants.extend(fragkeys_near::open(url).await);
    entrants.extend([
        naive::open(url).await,
        cached_redis::open(url).await,
        hitbox_redis::open(url).await,
        fragkeys_memory::open().await,
        quick_cache::open(),
        quick_cache::open_shared(),
        moka::open().await,
        moka::open_shared().await,
        cached_memory::open(),
        hitbox_moka::open(),
    ]);
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|text| name.contains(text));
    entrants.retain(|entrant| entrant.name == entrant.place.base() || is_wanted(entrant.name));
    entrants
}

/// A function from an id to the future of its value.
pub trait AsyncHit: Send + Sync + 'static {
    type Answer: Borrow<Page> + Send;
    fn hit(&self, id: u64) -> impl Future<Output = Self::Answer> + Send;
}

impl<F, R> AsyncHit for F
where
    F: Fn(u64) -> R + Send + Sync + 'static,
    R: Future<Output: Borrow<Page> + Send> + Send,
{
    type Answer = R::Output;

    fn hit(&self, id: u64) -> impl Future<Output = R::Output> + Send {
        self(id)
    }
}

/// Boxes at the edge of what is timed, and nothing within.
struct Contender<F>(F);

impl<F: AsyncHit> Racer for Contender<F> {
    fn one(&self, id: u64) -> BoxFuture<'_, Duration> {
        Box::pin(async move {
            let started = Instant::now();
            std::hint::black_box(self.0.hit(id).await);
            started.elapsed()
        })
    }

    fn many(&self, size: Size, count: u64) -> BoxFuture<'_, Duration> {
        Box::pin(async move {
            let started = Instant::now();
            for id in size.ids().cycle().take(count as usize) {
                std::hint::black_box(self.0.hit(id).await);
            }
            started.elapsed()
        })
    }

    fn slice(
        self: Arc<Self>,
        size: Size,
        callers: u64,
        length: Duration,
    ) -> BoxFuture<'static, Slice> {
        Box::pin(slice(
            move |id| {
                let contender = self.clone();
                async move { drop(std::hint::black_box(contender.0.hit(id).await)) }
            },
            size,
            callers,
            length,
        ))
    }

    fn warm_up(&self, size: Size) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // A miss, a hit that learns the versions, and a hit as those that follow.
            for id in (0..3).flat_map(|_| size.ids()) {
                let answer = self.0.hit(id).await;
                assert!(answer.borrow() == &value::page(id), "a wrong value for id {id}");
            }
        })
    }
}

/// What a busy machine may take before a contender that can be told gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A connection as the driver makes it, but for `TCP_NODELAY` and its patience.
pub async fn connect(url: &str, nodelay: bool) -> MultiplexedConnection {
    let info = url.into_connection_info().expect("a URL of ours");
    let tcp = info.tcp_settings().clone().set_nodelay(nodelay);
    let client = Client::open(info.set_tcp_settings(tcp)).expect("a URL of ours");
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.expect("our own server")
}

/// Fills in the values of both sizes, for those who do not do it themselves.
async fn fill(connection: &mut MultiplexedConnection, key: impl Fn(u64) -> String) {
    for id in Size::Small.ids().chain(Size::Large.ids()) {
        let bytes = value::encode(&value::page(id));
        let set = redis::cmd("SET").arg(key(id)).arg(bytes).arg("EX").arg(3600).clone();
        set.exec_async(connection).await.expect("our own server");
    }
}
