//! Contenders in turn: hit by hit where one caller is measured, in short slices where many are.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::contender::Entrant;
use crate::statistic::percentile;
use crate::value::Size;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What can be measured of a contender.
pub trait Racer: Send + Sync {
    /// One hit, timed.
    fn one(&self, id: u64) -> BoxFuture<'_, Duration>;
    /// So many hits, one after the other, timed as a whole.
    fn many(&self, size: Size, count: u64) -> BoxFuture<'_, Duration>;
    /// So many callers at once, each with one hit after the other, for so long.
    fn slice(
        self: Arc<Self>,
        size: Size,
        callers: u64,
        length: Duration,
    ) -> BoxFuture<'static, Slice>;
    /// Stores all values, and checks what comes back.
    fn warm_up(&self, size: Size) -> BoxFuture<'_, ()>;
}

/// How much is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    pub rounds: u32,
    /// Of a contender in one round, by one caller.
    pub hits: u32,
    /// Of a contender in one round, by many callers.
    pub slices: u32,
    pub length: Duration,
    /// Besides one: how many some callers are, and many.
    pub callers: [u64; 2],
}

impl Plan {
    /// For the tables.
    pub const FULL: Plan = Plan {
        rounds: 7,
        hits: 1_000,
        slices: 8,
        length: Duration::from_millis(40),
        callers: [64, 1_000],
    };
    /// While one works on something.
    pub const QUICK: Plan = Plan { rounds: 5, ..Plan::FULL };
    /// To see that it runs.
    pub const SMOKE: Plan =
        Plan { rounds: 2, hits: 20, slices: 1, length: Duration::from_millis(2), callers: [4, 16] };
}

/// What many callers did.
#[derive(Default)]
pub struct Slice {
    pub elapsed: Duration,
    /// In ns, one for each hit.
    pub latencies: Vec<u32>,
}

/// What one round found.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// In ns.
    pub p50: f64,
    /// In ns.
    pub p99: f64,
    /// Hits a second.
    pub throughput: f64,
}

impl Round {
    fn of(mut latencies: Vec<u32>, elapsed: Duration) -> Self {
        latencies.sort_unstable();
        Round {
            p50: percentile(&latencies, 0.50),
            p99: percentile(&latencies, 0.99),
            throughput: latencies.len() as f64 / elapsed.as_secs_f64(),
        }
    }
}

/// The rounds of each contender, in their order.
pub type Rounds = Vec<Vec<Round>>;

/// One caller: a hit of each contender, again and again, in an order made by chance.
pub async fn alone(entrants: &[Entrant], size: Size, plan: &Plan) -> Rounds {
    let mut rounds = vec![Vec::new(); entrants.len()];
    let mut order: Vec<usize> = (0..entrants.len()).collect();
    for _ in 0..plan.rounds {
        let mut latencies = vec![Vec::with_capacity(plan.hits as usize); entrants.len()];
        for id in size.ids().cycle().take(plan.hits as usize) {
            fastrand::shuffle(&mut order);
            for &index in &order {
                latencies[index].push(nanos(entrants[index].racer.one(id).await));
            }
        }
        for (rounds, latencies) in rounds.iter_mut().zip(latencies) {
            let elapsed = latencies.iter().copied().map(u64::from).map(Duration::from_nanos).sum();
            rounds.push(Round::of(latencies, elapsed));
        }
    }
    rounds
}

/// Many callers: a slice of each contender, again and again, in an order made by chance.
pub async fn together(entrants: &[Entrant], size: Size, callers: u64, plan: &Plan) -> Rounds {
    let mut rounds = vec![Vec::new(); entrants.len()];
    let mut order: Vec<usize> = (0..entrants.len()).collect();
    for _ in 0..plan.rounds {
        let mut whole: Vec<_> = entrants.iter().map(|_| Slice::default()).collect();
        for _ in 0..plan.slices {
            fastrand::shuffle(&mut order);
            for &index in &order {
                let slice = entrants[index].racer.clone().slice(size, callers, plan.length).await;
                whole[index].elapsed += slice.elapsed;
                whole[index].latencies.extend(slice.latencies);
            }
        }
        for (rounds, whole) in rounds.iter_mut().zip(whole) {
            rounds.push(Round::of(whole.latencies, whole.elapsed));
        }
    }
    rounds
}

/// One caller whose hits take less than looking at the clock does: so many at a time. There are
/// no latencies of single hits, so `p50` is the mean of a batch in the middle, `p99` of a slow one.
pub async fn in_process(entrants: &[Entrant], size: Size, plan: &Plan) -> Rounds {
    let batch_of: u32 = match size {
        Size::Small => 20,
        Size::Large => 2,
    };
    let mut rounds = vec![Vec::new(); entrants.len()];
    let mut order: Vec<usize> = (0..entrants.len()).collect();
    for _ in 0..plan.rounds {
        fastrand::shuffle(&mut order);
        for &index in &order {
            let started = Instant::now();
            let mut means = Vec::new();
            while started.elapsed() < plan.length {
                let batch = entrants[index].racer.many(size, batch_of.into()).await;
                means.push(nanos(batch / batch_of));
            }
            let total: f64 = means.iter().map(|&mean| f64::from(mean)).sum();
            let throughput = means.len() as f64 / total * 1e9;
            rounds[index].push(Round { throughput, ..Round::of(means, started.elapsed()) });
        }
    }
    rounds
}

/// So many callers at once.
pub async fn slice<F, R>(hit: F, size: Size, callers: u64, length: Duration) -> Slice
where
    F: Fn(u64) -> R + Clone + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    let started = Instant::now();
    for caller in 0..callers {
        let hit = hit.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::with_capacity(4_096);
            let mut before = Instant::now();
            for id in size.ids().cycle().skip(offset(size, caller, callers)) {
                hit(id).await;
                let after = Instant::now();
                latencies.push(nanos(after - before));
                before = after;
                if after - started >= length {
                    break;
                }
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.concat();
    Slice { elapsed: started.elapsed(), latencies }
}

/// Where a caller begins among the ids, so that not all ask for the same.
fn offset(size: Size, caller: u64, callers: u64) -> usize {
    let count = size.ids().end - size.ids().start;
    (caller * count / callers) as usize
}

fn nanos(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos()).unwrap_or(u32::MAX)
}
