//! The relay: from the outbox to the cache, at least once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use fragkeys::Cache;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::error::{Error, ErrorKind};
use crate::outbox::Outbox;

mod backoff;
mod batch;
mod health;
mod held;
mod session;

pub use health::RelayHealth;

use backoff::Backoff;
use batch::Batch;
use health::Shared;
use held::Held;
use session::Session;

const TARGET: &str = "fragkeys_postgres";
/// How long PostgreSQL may take for one step.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a backlog is measured, and how often somebody is told of the same trouble.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
const TELL_EVERY: Duration = Duration::from_secs(60);
const MOST_IN_A_BATCH: u32 = 10_000;

/// Takes tags out of the outbox and bumps them in a cache: each one at least once.
///
/// Tags are deleted only after the store has acknowledged their bump, in the transaction in
/// which they were locked: whatever dies on the way, they are still there, and another relay or
/// the next one takes them. Several can run at once; they take different tags.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fragkeys::Config;
/// use fragkeys_postgres::Relay;
///
/// let cache = Config::redis("redis://127.0.0.1:6379/1").prefix("shop").build().await?;
/// let relay = Relay::new("postgres://relay:secret@127.0.0.1/shop", cache)?;
/// let task = tokio::spawn(relay.run()); // for as long as the program runs
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Relay {
    database: tokio_postgres::Config,
    cache: Cache,
    outbox: Outbox,
    batch_size: u32,
    poll_every: Duration,
    large_backlog: u64,
    health: Arc<Shared>,
    #[cfg(feature = "tls")]
    authority: Option<Vec<u8>>,
}

impl Relay {
    /// From the outbox of the database at this URL to a cache. It does not connect yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if that is no URL of a database.
    pub fn new(url: &str, cache: Cache) -> Result<Self, Error> {
        // What the driver says may quote a part of the URL, and so of the password.
        let database = url.parse::<tokio_postgres::Config>().map_err(|_| {
            let message = "the database's URL cannot be read; it is written like \
                           `postgres://user:password@host:5432/database`, with `%40` for an `@` in the password";
            Error::new(ErrorKind::Config, message)
        })?;
        Ok(Relay::with_config(database, cache))
    }

    /// As [`new`](Self::new), with the driver's settings instead of a URL.
    #[must_use]
    pub fn with_config(mut database: tokio_postgres::Config, cache: Cache) -> Self {
        if database.get_connect_timeout().is_none() {
            database.connect_timeout(PATIENCE / 2);
        }
        if database.get_application_name().is_none() {
            database.application_name("fragkeys-postgres");
        }
        Relay {
            database,
            cache,
            outbox: Outbox::new(),
            batch_size: 1_000,
            poll_every: Duration::from_secs(1),
            large_backlog: 10_000,
            health: Arc::default(),
            #[cfg(feature = "tls")]
            authority: None,
        }
    }

    /// Which outbox it empties. Default: `Outbox::new()`.
    #[must_use]
    pub fn of_outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = outbox;
        self
    }

    /// How many tags are taken at a time, 1 to 10,000. Default: 1,000; fewer if they are 4 MiB.
    #[must_use]
    pub fn batch_size(mut self, tags: u32) -> Self {
        self.batch_size = tags.clamp(1, MOST_IN_A_BATCH);
        self
    }

    /// How often it looks without having been woken, 10 ms to a day. Default: a second. Tags
    /// that were locked by a relay which died are found by that alone.
    #[must_use]
    pub fn poll_every(mut self, pause: Duration) -> Self {
        self.poll_every = pause.clamp(Duration::from_millis(10), Duration::from_secs(86_400));
        self
    }

    /// From how many waiting tags on the log warns of them. Default: 10,000.
    #[must_use]
    pub fn large_backlog(mut self, tags: u64) -> Self {
        self.large_backlog = tags;
        self
    }

    /// Certificates, in PEM, of the authorities that PostgreSQL's is checked with. Default: those
    /// of the system.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authority = Some(pem.into());
        self
    }

    /// How it is, now and later.
    #[must_use]
    pub fn health(&self) -> RelayHealth {
        RelayHealth::of(&self.health)
    }

    /// Relays for ever. To stop, drop the future: no tag is lost, and those that it was about to
    /// bump may be bumped again.
    ///
    /// Once it was connected, nothing ends it: it connects again, with pauses that grow to five
    /// seconds and have a random part.
    ///
    /// # Errors
    ///
    /// Before it was connected for the first time: where PostgreSQL can be reached and this
    /// cannot go well ([`ErrorKind::Config`], [`ErrorKind::Login`], [`ErrorKind::Outbox`]).
    pub async fn run(self) -> Result<Infallible, Error> {
        self.outbox.check()?;
        let tls = session::Tls::of(&self)?;
        let woken = Arc::new(Notify::new());
        let mut backoff = Backoff::default();
        let mut told = Told::default();
        loop {
            let began = Instant::now();
            let error = match Session::open(&self, &tls, &woken).await {
                Ok(session) => {
                    info!(target: TARGET, "connected; the outbox is {}.outbox", self.outbox.schema());
                    self.health.connected();
                    let error = self.serve(&session, &woken).await;
                    self.health.disconnected();
                    error
                }
                Err(error) if error.is_lasting() && !self.health.was_connected() => {
                    return Err(error);
                }
                Err(error) => error,
            };
            if began.elapsed() > PATIENCE {
                backoff = Backoff::default();
            }
            if told.should_tell() {
                warn!(target: TARGET, "{error}; tags stay in the outbox, and it connects again");
            }
            sleep(backoff.next()).await;
        }
    }

    /// Empties the outbox again and again, until the session is of no use.
    async fn serve(&self, session: &Session, woken: &Notify) -> Error {
        let mut held = Held::default();
        let mut told = Told::default();
        let mut measured: Option<Instant> = None;
        loop {
            held.let_go_in_time();
            let (batch, trouble) = match self.relay_one(session, held.ids()).await {
                Ok(done) => done,
                Err(error) => return error,
            };
            if let Some(error) = &trouble
                && told.should_tell()
            {
                let failed = batch.failed.len();
                warn!(target: TARGET, "{failed} tags could not be bumped: {error}; these tags stay in the outbox, and are tried again");
            }
            // While nothing at all goes through, those behind them would fail as well.
            let is_away = batch.done.is_empty() && !self.cache.health().is_reachable;
            if !is_away {
                held.hold(&batch.failed);
            }
            let is_at_end = !batch.is_full && trouble.is_none() && held.ids().is_empty();
            self.health.drained(&batch, held.ids().len(), is_at_end);
            if is_at_end && told.has_told() {
                info!(target: TARGET, "the cache takes all bumps again");
                told = Told::default();
            }
            let is_more = batch.is_full || !batch.failed.is_empty();
            if is_more && measured.is_none_or(|at| at.elapsed() >= MEASURE_EVERY) {
                measured = Some(Instant::now());
                if let Err(error) = self.measure(session).await {
                    return error;
                }
            }
            if is_away || held.is_full() {
                sleep(held.pause()).await;
            } else if !batch.is_full {
                let pause = self.poll_every.mul_f64(0.75 + fastrand::f64() / 2.0);
                // Woken or not, it looks.
                let _ = timeout(held.at_end(pause), woken.notified()).await;
            }
        }
    }

    /// One batch: locked, bumped, deleted. What of it fails stays, and is no matter of the others.
    async fn relay_one(
        &self,
        session: &Session,
        held: &[i64],
    ) -> Result<(Batch, Option<fragkeys::Error>), Error> {
        let mut batch = session.lock(self.batch_size, held).await?;
        if batch.is_empty() {
            return Ok((batch, None));
        }
        let outcome = batch.bump(&self.cache).await;
        match batch.done.is_empty() {
            true => session.leave().await?,
            false => session.delete(&batch).await?,
        }
        Ok((batch, outcome.err()))
    }

    /// How much waits, and for how long; tells of a lot.
    async fn measure(&self, session: &Session) -> Result<(), Error> {
        let (tags, oldest) = session.backlog().await?;
        self.health.backlog(tags, oldest);
        if tags >= self.large_backlog {
            warn!(
                target: TARGET,
                "{tags} tags or more wait in the outbox, the oldest for {} s; if they do not get \
                 fewer, see that Redis answers, or run more relays",
                oldest.as_secs()
            );
        }
        Ok(())
    }
}

/// So that the same trouble is told once a minute.
#[derive(Default)]
struct Told(Option<Instant>);

impl Told {
    fn has_told(&self) -> bool {
        self.0.is_some()
    }

    fn should_tell(&mut self) -> bool {
        let is_due = self.0.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
