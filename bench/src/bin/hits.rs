//! What a hit costs, and a bump.

use std::path::Path;

use fragkeys_bench::allocation::Allocations;
use fragkeys_bench::bump;
use fragkeys_bench::contender::{HEADLINE, Place, connect, open_all};
use fragkeys_bench::machine;
use fragkeys_bench::plot::{Panel, bars};
use fragkeys_bench::race::{Plan, alone, in_process, together};
use fragkeys_bench::report::{Hits, P50, THROUGHPUT, thousands};
use fragkeys_bench::results::{Results, replace_in_readme};
use fragkeys_bench::spinner::{Spinners, spin_if_told};
use fragkeys_bench::value::{Size, runs};
use fragkeys_tests::RedisServer;

/// What the command line says.
struct Options {
    mode: Mode,
    wanted: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Full,
    Quick,
    /// Bumps beside `MSET`, and nothing else.
    Bumps,
    Smoke,
}

impl Options {
    fn read() -> Self {
        let mut words: Vec<String> = std::env::args().skip(1).collect();
        let mode = match words.first().map(String::as_str) {
            Some("--quick") => Mode::Quick,
            Some("--bumps") => Mode::Bumps,
            Some("--smoke") => Mode::Smoke,
            _ => return Options { mode: Mode::Full, wanted: words },
        };
        words.remove(0);
        if mode != Mode::Smoke {
            words.push(HEADLINE.to_owned());
        }
        Options { mode, wanted: words }
    }

    fn plan(&self) -> Plan {
        match self.mode {
            Mode::Full => Plan::FULL,
            Mode::Quick | Mode::Bumps => Plan::QUICK,
            Mode::Smoke => Plan::SMOKE,
        }
    }
}

fn main() {
    spin_if_told();
    let options = Options::read();
    let mode = options.mode;
    let allocations = Allocations::count(&options.wanted);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = RedisServer::start();
    let url = server.url();
    let measured = runtime.block_on(runtime.spawn(async move {
        let hits = match options.mode {
            Mode::Bumps => {
                // It is the cache that is wanted.
                open_all(&url, &options.wanted).await;
                Vec::new()
            }
            _ => hits(&url, &options).await,
        };
        let bumps = match options.mode {
            Mode::Quick => String::new(),
            _ => bumps(&url, &options).await,
        };
        (hits, bumps)
    }));
    let (hits, bumps) = measured.expect("no panic");
    let text = text(&hits, &bumps, &allocations);
    println!("{text}");
    if matches!(mode, Mode::Quick | Mode::Bumps) {
        return;
    }
    let results = Results::open(mode == Mode::Full);
    results.write("results.md", &text);
    for hits in hits.iter().filter(|hits| hits.place == Place::Redis) {
        plot(hits, &results.path(&format!("hits-{}.svg", hits.size.name())));
    }
    let headline = hits[0].headline(&allocations);
    match mode {
        Mode::Full => replace_in_readme(&headline),
        _ => results.write("headline.md", &headline),
    }
}

/// Everything about hits, in the order of the report.
async fn hits(url: &str, options: &Options) -> Vec<Hits> {
    let entrants = open_all(url, &options.wanted).await;
    let (remote, local): (Vec<_>, Vec<_>) =
        entrants.into_iter().partition(|entrant| entrant.place == Place::Redis);
    let sizes: &[Size] = match options.mode {
        Mode::Quick => &[Size::Small],
        _ => &[Size::Small, Size::Large],
    };
    let plan = options.plan();
    let mut all = Vec::new();
    for &size in sizes {
        for entrant in remote.iter().chain(&local) {
            entrant.racer.warm_up(size).await;
        }
        let before = runs();
        let mut hits = Hits::new(size, Place::Redis, &remote);
        let spinners = Spinners::start();
        hits.by_callers.push((1, alone(&remote, size, &plan).await));
        drop(spinners);
        for callers in plan.callers {
            hits.by_callers.push((callers, together(&remote, size, callers, &plan).await));
        }
        all.push(hits);
        let mut hits = Hits::new(size, Place::Process, &local);
        hits.by_callers.push((1, in_process(&local, size, &plan).await));
        if options.mode != Mode::Quick {
            // Nothing waits, so more callers than processors would only stand in line.
            let cores = std::thread::available_parallelism().map_or(2, |count| count.get() as u64);
            hits.by_callers.push((cores, together(&local, size, cores, &plan).await));
        }
        all.push(hits);
        assert_eq!(runs(), before, "a hit was a miss");
    }
    all
}

async fn bumps(url: &str, options: &Options) -> String {
    let plan = options.plan();
    let cache = fragkeys::cache_named("strict").expect("installed by its contenders");
    let spinners = Spinners::start();
    let beside = bump::beside_mset(&cache, connect(url, true).await, &plan).await;
    if options.mode == Mode::Bumps {
        return format!("## Bumps\n\n{beside}");
    }
    let crowds = if options.mode == Mode::Smoke { [10, 100] } else { [1_000, 1_000_000] };
    let crowded = bump::with_entries(&cache, crowds, &plan).await;
    format!("## Bumps\n\n{beside}\n{crowded}\nKept awake by processes of {}.\n", spinners.kind)
}

fn text(hits: &[Hits], bumps: &str, allocations: &Allocations) -> String {
    let mut text = format!(
        "# What a hit costs\n\nWritten by `bench/run`; [how it is measured](../README.md). The \
         first row is absolute, the others are ratios to it: the median of the rounds, each \
         compared with the same round, and in parentheses the lowest and the highest.\n\n{}\n",
        machine::describe()
    );
    for hits in hits {
        let place = match hits.place {
            Place::Redis => "from Redis",
            Place::Process => "in the process",
        };
        text += &format!("## Values of {} bytes, {place}\n\n", hits.size.bytes());
        text += &hits.tables(allocations);
    }
    text + bumps
}

fn plot(hits: &Hits, path: &Path) {
    let panel = |title: &str, note, callers, field, end| {
        let ratios = hits.ratios(callers, field).into_iter();
        let rows = ratios.map(|(name, spread)| (name.to_owned(), spread)).collect();
        Panel { title: title.to_owned(), note, rows, end }
    };
    let mut panels =
        vec![panel("p50, 1 caller", "to raw GET + decode; shorter is better", 1, P50, 2.5)];
    for (callers, _) in &hits.by_callers[1..] {
        let title = format!("hits a second, {} callers", thousands(*callers));
        panels.push(panel(&title, "longer is better", *callers, THROUGHPUT, 1.5));
    }
    let title = format!("A hit from Redis, values of {} bytes", hits.size.bytes());
    bars(path, &title, &panels, |name| name.starts_with("fragkeys"));
}
