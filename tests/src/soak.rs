//! A service under load while faults of its Redis come and go.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Proxy, RedisServer};

mod fault;
mod http;
mod load;
mod plot;

pub use fault::Fault;

/// A load on the example `service`: most connections read, some write and look whether they then
/// read what they wrote.
#[derive(Debug, Clone)]
pub struct Soak {
    /// `HOST:PORT` of the service, whose Redis is behind the proxy.
    pub service: String,
    /// How many clients ask at the same time, each on a connection of its own.
    pub connections: usize,
    /// How long each fault lasts, and how long it is calm after it.
    pub each: Duration,
}

/// One request: when it began, after the start of all, and how long it took.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    took: Duration,
    is_hit: bool,
}

/// What a client saw that must not be: no answer, another status than asked for, an old value.
pub type Failure = String;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Nothing, if all is well.
    pub failures: Vec<Failure>,
    /// The times without and with each fault, in order.
    pub phases: Vec<Phase>,
    samples: Vec<Sample>,
}

/// A time in which one fault was on, or none.
#[derive(Debug)]
pub struct Phase {
    /// The fault.
    pub fault: Option<Fault>,
    from: Duration,
    until: Duration,
    /// How many requests began in it.
    pub requests: usize,
    /// Of those, how many were answered from the cache.
    pub hits: usize,
    /// The middle one of their times.
    pub median: Duration,
    /// What one in a hundred exceeded.
    pub p99: Duration,
    /// The longest.
    pub longest: Duration,
    /// How long after its beginning the first hit was answered.
    pub first_hit: Option<Duration>,
}

impl Soak {
    /// Runs the load: calm first, then each fault with some calm after it.
    #[must_use]
    pub fn run(&self, server: &mut RedisServer, proxy: &Proxy, faults: &[Fault]) -> Report {
        let start = Instant::now();
        let is_over = AtomicBool::new(false);
        let (samples, failures) =
            (Mutex::<Vec<Sample>>::default(), Mutex::<Vec<Failure>>::default());
        let mut times = Vec::new();
        thread::scope(|scope| {
            for number in 0..self.connections {
                let client = load::Client { number, start, is_over: &is_over };
                let (samples, failures) = (&samples, &failures);
                scope.spawn(move || {
                    let (seen, failed) = client.run(&self.service);
                    lock(samples).extend(seen);
                    lock(failures).extend(failed);
                });
            }
            let mut pass = |fault| {
                let from = start.elapsed();
                thread::sleep(self.each);
                times.push((fault, from, start.elapsed()));
            };
            pass(None);
            for &fault in faults {
                let state = fault.begin(server, proxy);
                pass(Some(fault));
                fault.end(state, server, proxy);
                pass(None);
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let samples: Vec<Sample> = samples.into_inner().expect("no client panicked");
        let phases = times
            .into_iter()
            .map(|(fault, from, until)| Phase::of(&samples, fault, from, until))
            .collect();
        Report { failures: failures.into_inner().expect("no client panicked"), phases, samples }
    }
}

impl Phase {
    fn of(all: &[Sample], fault: Option<Fault>, from: Duration, until: Duration) -> Self {
        let samples: Vec<_> =
            all.iter().filter(|sample| (from..until).contains(&sample.at)).collect();
        let mut times: Vec<Duration> = samples.iter().map(|sample| sample.took).collect();
        times.sort_unstable();
        let share = |percent: usize| times.get(times.len() * percent / 100).copied();
        Phase {
            fault,
            from,
            until,
            requests: samples.len(),
            hits: samples.iter().filter(|sample| sample.is_hit).count(),
            median: share(50).unwrap_or_default(),
            p99: share(99).unwrap_or_default(),
            longest: times.last().copied().unwrap_or_default(),
            first_hit: samples
                .iter()
                .filter(|sample| sample.is_hit)
                .map(|sample| sample.at + sample.took - from)
                .min(),
        }
    }
}

impl Report {
    /// The latencies over time as an SVG, with the times of faults in grey.
    #[must_use]
    pub fn plot(&self) -> String {
        plot::svg(&self.samples, &self.phases)
    }
}

/// A table of the phases, and the failures.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| fault | requests | hits | median ms | p99 ms | longest ms | first hit ms |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for phase in &self.phases {
            let fault = phase.fault.map_or("none", Fault::name);
            let millis = |time: Duration| time.as_secs_f64() * 1_000.0;
            let hits = 100 * phase.hits / phase.requests.max(1);
            let first_hit =
                phase.first_hit.map_or("none".to_owned(), |time| format!("{:.0}", millis(time)));
            writeln!(
                f,
                "| {fault} | {} | {hits} % | {:.1} | {:.1} | {:.1} | {first_hit} |",
                phase.requests,
                millis(phase.median),
                millis(phase.p99),
                millis(phase.longest)
            )?;
        }
        writeln!(f, "{} failures", self.failures.len())?;
        self.failures.iter().take(10).try_for_each(|failure| writeln!(f, "{failure}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no client panicked")
}
