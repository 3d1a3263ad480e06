//! One of the processes: readers, and writers that bump what they wrote, until its input ends.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, Config, Near, Outcome, Tag, cache, observe, tagged_cache};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use super::database::Database;
use super::event::{Event, Life, Read, Value};
use super::log::Log;
use super::{Mode, ROWS, ROWS_PER_GROUP, now};
use crate::rng::Rng;

/// How much older a near hit may be. Short, so that faults outlast it, and that it is not the loss of
/// a connection which does not answer that ends them.
pub(super) const MAX_STALENESS: Duration = Duration::from_millis(250);
/// How long a process waits for another one's run, at most.
pub(super) const LEASE_WAIT: Duration = Duration::from_secs(2);
/// What a run takes, at most.
pub(super) const RUN: Duration = Duration::from_millis(4);

/// With the near tier, this process does not write. What is near is left alone while a bump of the own
/// process waits to be retried: who bumps gives no near hit, trust or not, as soon as the server has not
/// answered for `operation_timeout`. Who only reads shows what becomes of trust.
pub(super) const READS_ONLY: u32 = 0;

const READERS: u64 = 8;
const WRITERS: u32 = 2;
/// A reader asks so often in a row for one row, at most.
const BURST: usize = 32;
const READER_PAUSE: Duration = Duration::from_millis(80);
const WRITER_PAUSE: Duration = Duration::from_millis(24);
/// Who did not run for so long longer than it wanted to sleep was stalled.
const STALL: Duration = Duration::from_millis(20);
/// What is left of calls, and of failed bumps, has so long at the end.
const LAST_CALLS: Duration = Duration::from_secs(20);
const LAST_BUMPS: Duration = Duration::from_secs(20);

static DATABASE: OnceLock<Database> = OnceLock::new();

#[tagged_cache(
    timeout = 60,
    tags = ["Row:<row>", Tag::new("Group", row / ROWS_PER_GROUP)],
    vary_on = [row],
    key_name = "checker::row"
)]
async fn cached_row(row: u32) -> Value {
    let began = now();
    let half = RUN / 2;
    sleep(half.mul_f64(fastrand::f64())).await;
    let number = database().read(row);
    sleep(half.mul_f64(fastrand::f64())).await;
    Value { row, number, began }
}

fn database() -> &'static Database {
    DATABASE.get().expect("opened at the start")
}

/// What a process is started with.
#[derive(Debug)]
pub struct Worker {
    pub(super) folder: PathBuf,
    pub(super) life: Life,
    pub(super) mode: Mode,
    pub(super) urls: Vec<String>,
    pub(super) seed: u64,
}

/// What its tasks share.
struct Shared {
    log: Log,
    life: Life,
    is_over: AtomicBool,
    /// A bump failed since it was last found that none waits.
    has_failed: AtomicBool,
}

impl Worker {
    pub(super) fn to_args(&self) -> Vec<String> {
        let Worker { folder, life, mode, urls, seed } = self;
        let folder = folder.to_str().expect("a path in UTF-8").to_owned();
        let numbers = [u64::from(life.process), u64::from(life.number), *seed];
        let words = [folder, mode.name().to_owned(), urls.join(",")];
        words.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    }

    /// The worker that these arguments of a command line are for.
    #[must_use]
    pub fn of_args(args: &[&str]) -> Option<Self> {
        let [folder, mode, urls, process, number, seed] = args else { return None };
        Some(Worker {
            folder: Path::new(folder).to_owned(),
            life: Life { process: process.parse().ok()?, number: number.parse().ok()? },
            mode: Mode::named(mode)?,
            urls: urls.split(',').map(str::to_owned).collect(),
            seed: seed.parse().ok()?,
        })
    }

    /// Reads and writes until the standard input ends.
    ///
    /// # Panics
    ///
    /// When there is no room for the log.
    pub fn run(self) {
        let database = Database::open(&self.folder).expect("the database");
        DATABASE.set(database).expect("one worker a process");
        let shared = Arc::new(Shared {
            log: Log::create(&self.folder, self.life).expect("a log"),
            life: self.life,
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        });
        std::thread::spawn({
            let shared = shared.clone();
            move || shared.watch_for_stalls()
        });
        std::thread::spawn({
            let shared = shared.clone();
            move || {
                let _ = std::io::stdin().read_to_end(&mut Vec::new());
                shared.is_over.store(true, Ordering::SeqCst);
            }
        });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(self.work(shared));
        // What hangs is in the log.
        runtime.shutdown_background();
    }

    async fn work(self, shared: Arc<Shared>) {
        self.config().install().await.expect("our own settings");
        let settler = tokio::spawn(shared.clone().watch_for_settled());
        let reads = (0..READERS).map(|index| {
            let busy = Arc::<Busy>::default();
            let rng = self.rng(index);
            (tokio::spawn(shared.clone().keep_reading(rng, busy.clone())), busy)
        });
        let only_reads = self.mode == Mode::Near && self.life.process == READS_ONLY;
        let writers = if only_reads { 0 } else { WRITERS };
        let writes = (0..writers).map(|index| {
            let busy = Arc::<Busy>::default();
            let rng = self.rng(READERS + u64::from(index));
            (tokio::spawn(shared.clone().keep_writing(index, rng, busy.clone())), busy)
        });
        let mut ends = JoinSet::new();
        for (task, busy) in reads.chain(writes) {
            ends.spawn(shared.clone().end(task, busy));
        }
        ends.join_all().await;
        settler.await.expect("it does not panic");
    }

    fn config(&self) -> Config {
        let config = match self.mode {
            Mode::Cluster => Config::redis_cluster(&self.urls),
            Mode::Strict | Mode::Near => Config::redis(&self.urls[0]),
        };
        let config = config.lease_wait(LEASE_WAIT);
        match self.mode {
            Mode::Near => config.near(Near::new().max_staleness(MAX_STALENESS)),
            Mode::Strict | Mode::Cluster => config,
        }
    }

    fn rng(&self, index: u64) -> Rng {
        let Life { process, number } = self.life;
        Rng::new(self.seed ^ u64::from(process) << 48 ^ u64::from(number) << 16 ^ index)
    }
}

/// The call that a task waits for.
#[derive(Default)]
struct Busy {
    row: AtomicU64,
    /// Since when; 0 while there is none.
    since: AtomicU64,
}

impl Shared {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    async fn keep_reading(self: Arc<Self>, mut rng: Rng, busy: Arc<Busy>) {
        while !self.is_over() {
            let row = any_row(&mut rng);
            for _ in 0..=rng.below(BURST) {
                self.read(row, &busy).await;
            }
            sleep(up_to(READER_PAUSE, &mut rng)).await;
        }
    }

    async fn read(&self, row: u32, busy: &Busy) {
        busy.row.store(row.into(), Ordering::Relaxed);
        let start = now();
        busy.since.store(start, Ordering::Release);
        let mut call = pin!(observe(cached_row(row)));
        let at_once =
            std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context))).await;
        let has_waited = at_once.is_pending();
        let (value, outcome) = match at_once {
            Poll::Ready(answer) => answer,
            Poll::Pending => call.await,
        };
        let end = now();
        busy.since.store(0, Ordering::Release);
        let outcome = outcome.expect("a cached call");
        let is_near = !has_waited && outcome == Outcome::Hit;
        self.log.write(Event::Read(Read { row, start, end, outcome, is_near, value }));
    }

    /// Writes the rows that are its own, bumps those and others, and reads what it bumped at once.
    async fn keep_writing(self: Arc<Self>, index: u32, mut rng: Rng, busy: Arc<Busy>) {
        let cache = cache();
        while !self.is_over() {
            let row = uneven_row(&mut rng) / WRITERS_OF_ALL * WRITERS_OF_ALL;
            let own = row + (self.life.process * WRITERS + index) % WRITERS_OF_ALL;
            let (row, is_written) = match rng.below(4) {
                0 => (any_row(&mut rng), false),
                _ => (own, true),
            };
            if is_written {
                self.write(row);
            }
            match rng.below(200) {
                0 => self.bump(0, ROWS, cache.invalidate_all()).await,
                1..20 => {
                    let group = row / ROWS_PER_GROUP;
                    let bump = cache.invalidate([Tag::new("Group", group)]);
                    self.bump(group * ROWS_PER_GROUP, ROWS_PER_GROUP, bump).await;
                }
                _ => self.bump(row, 1, cache.invalidate([Tag::new("Row", row)])).await,
            }
            self.read(row, &busy).await;
            sleep(up_to(WRITER_PAUSE, &mut rng)).await;
        }
    }

    fn write(&self, row: u32) {
        let number = database().read(row) + 1;
        self.log.write(Event::Writing { row, number, at: now() });
        database().write(row, number);
        self.log.write(Event::Written { row, number, at: now() });
    }

    async fn bump<T, E>(&self, first: u32, rows: u32, bump: impl Future<Output = Result<T, E>>) {
        let called = now();
        let is_ok = bump.await.is_ok();
        let returned = now();
        self.log.write(Event::Bump { first, rows, called, returned, is_ok });
        if !is_ok {
            self.has_failed.store(true, Ordering::SeqCst);
        }
    }

    /// Notes when no bump waits any more, until the end; and if some wait for too long then.
    async fn watch_for_settled(self: Arc<Self>) {
        let cache: Cache = cache();
        let mut over_since = None;
        loop {
            if self.has_failed.swap(false, Ordering::SeqCst) {
                let asked = now();
                if cache.queued_bumps() == 0 {
                    self.log.write(Event::Settled { asked, answered: now() });
                } else {
                    self.has_failed.store(true, Ordering::SeqCst);
                }
            } else if self.is_over() {
                return;
            }
            if self.is_over() {
                let since = over_since.get_or_insert_with(std::time::Instant::now);
                if since.elapsed() > LAST_BUMPS {
                    return self.log.write(Event::Unsettled { at: now() });
                }
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the last call of a task, if there is one.
    async fn end(self: Arc<Self>, task: JoinHandle<()>, busy: Arc<Busy>) {
        let mut task = pin!(task);
        while !self.is_over() && !task.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
        // A task that panicked has not answered, either.
        if !matches!(timeout(LAST_CALLS, task.as_mut()).await, Ok(Ok(_))) {
            let row = u32::try_from(busy.row.load(Ordering::Relaxed)).expect("a row");
            let start = busy.since.load(Ordering::Acquire);
            self.log.write(Event::Unanswered { row, start });
        }
    }

    fn watch_for_stalls(&self) {
        const PAUSE: Duration = Duration::from_millis(10);
        let most = u64::try_from((PAUSE + STALL).as_nanos()).expect("a short time");
        let mut from = now();
        loop {
            std::thread::sleep(PAUSE);
            let until = now();
            if until - from > most {
                self.log.write(Event::Stalled { from, until });
            }
            from = until;
        }
    }
}

/// Of all processes that run at the same time; each has as many rows.
const WRITERS_OF_ALL: u32 = PROCESSES * WRITERS;
/// How many processes there are.
pub(super) const PROCESSES: u32 = 4;

fn any_row(rng: &mut Rng) -> u32 {
    u32::try_from(rng.below(ROWS as usize)).expect("a row")
}

/// Some are written all the time, and some hardly ever.
fn uneven_row(rng: &mut Rng) -> u32 {
    let share = rng.below(1_000) as f64 / 1_000.0;
    (share.powi(3) * f64::from(ROWS)) as u32
}

fn up_to(most: Duration, rng: &mut Rng) -> Duration {
    most.mul_f64(rng.below(1_000) as f64 / 1_000.0)
}
