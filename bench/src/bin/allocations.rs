//! Prints how often a hit of each contender allocates: size, count, name. On one thread, so
//! that nothing of the driver's is missed.

use fragkeys_bench::contender::open_all;
use fragkeys_bench::value::Size;
use fragkeys_tests::RedisServer;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let entrants = runtime.block_on(open_all(&server.url(), &wanted));
    for (size, hits) in [(Size::Small, 2_000), (Size::Large, 80)] {
        for entrant in &entrants {
            runtime.block_on(entrant.racer.warm_up(size));
            let info = allocation_counter::measure(|| {
                runtime.block_on(entrant.racer.many(size, hits));
            });
            println!(
                "{} {:.1} {}",
                size.name(),
                info.count_total as f64 / hits as f64,
                entrant.name
            );
        }
    }
}
