//! What a hit costs.

use fragkeys_bench::allocation::Allocations;
use fragkeys_bench::contender::{HEADLINE, Place, open_all};
use fragkeys_bench::race::{Plan, alone, together};
use fragkeys_bench::report::Hits;
use fragkeys_bench::spinner::{Spinners, spin_if_told};
use fragkeys_bench::value::{Size, runs};
use fragkeys_tests::RedisServer;

fn main() {
    spin_if_told();
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let mut plan = Plan::FULL;
    if let Some(at) = wanted.iter().position(|word| word == "--quick") {
        wanted.remove(at);
        wanted.push(HEADLINE.to_owned());
        plan = Plan::QUICK;
    }
    let allocations = Allocations::count(&wanted);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = RedisServer::start();
    let url = server.url();
    let hits = runtime.block_on(runtime.spawn(async move {
        let mut entrants = open_all(&url, &wanted).await;
        entrants.retain(|entrant| entrant.place == Place::Redis);
        let size = Size::Small;
        for entrant in &entrants {
            entrant.racer.warm_up(size).await;
        }
        let before = runs();
        let spinners = Spinners::start();
        let mut hits = Hits::new(size, &entrants, alone(&entrants, size, &plan).await);
        drop(spinners);
        for callers in [64, 1_000] {
            hits.together.push((callers, together(&entrants, size, callers, &plan).await));
        }
        assert_eq!(runs(), before, "a hit was a miss");
        hits
    }));
    println!("{}", hits.expect("no panic").table(&allocations));
}
