//! What a bump costs: beside an MSET of as many keys, and with many entries on a tag.

use std::time::{Duration, Instant};

use fragkeys::{Cache, Tag, tagged_cache};
use redis::Cmd;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use crate::race::Plan;
use crate::report::{thousands, time};
use crate::statistic::{Spread, percentile};

/// Bumps of so many tags in one call, and an MSET of as many keys, in turn. All tags have a version
/// when they are bumped, as if each had been read since the last time.
pub async fn beside_mset(
    cache: &Cache,
    mut connection: MultiplexedConnection,
    plan: &Plan,
) -> String {
    let mut table = "| tags in one call | `MSET` of as many keys | a bump of them, to that |\n\
        |---|---|---|\n"
        .to_owned();
    for count in [1_u64, 100, 10_000] {
        let repeats = (u64::from(plan.hits) / 2).min(20_000 / count).max(3);
        let mut rounds = Vec::new();
        for _ in 0..plan.rounds {
            let [mut bumps, mut sets] = [Vec::new(), Vec::new()];
            for _ in 0..repeats {
                let stand = mset("fragkeys:t:User", count);
                stand.exec_async(&mut connection).await.expect("our own server");
                let started = Instant::now();
                let tags = (0..count).map(|id| Tag::new("User", id));
                cache.invalidate(tags).await.expect("our own server");
                bumps.push(started.elapsed());
                let started = Instant::now();
                mset("mset:t:User", count)
                    .exec_async(&mut connection)
                    .await
                    .expect("our own server");
                sets.push(started.elapsed());
            }
            rounds.push((median(bumps), median(sets)));
        }
        let sets = Spread::of(rounds.iter().map(|(_, sets)| *sets)).median;
        let ratio = Spread::of(rounds.iter().map(|(bumps, sets)| bumps / sets));
        table += &format!("| {} | {} | {ratio} |\n", thousands(count), time(sets));
    }
    table
}

fn mset(before: &str, count: u64) -> Cmd {
    let mut mset = redis::cmd("MSET");
    for id in 0..count {
        // As many digits as a version has.
        mset.arg(format!("{before}:{id}")).arg(1_700_000_000_000_000_000_u64 + id);
    }
    mset
}

#[tagged_cache(timeout = 3600, tags = ["Crowd:<crowd>"], vary_on = [crowd, id])]
async fn member(crowd: u64, id: u64) -> u64 {
    id
}

/// Hits and bumps of tags that few and many entries depend on, in turn.
pub async fn with_entries(cache: &Cache, crowds: [u64; 2], plan: &Plan) -> String {
    for crowd in crowds {
        fill(crowd).await;
    }
    let known = crowds[0].min(1_000);
    for id in (0..2).flat_map(|_| 0..known) {
        for crowd in crowds {
            member(crowd, id).await;
        }
    }
    let [mut hits, mut bumps] = [Vec::new(), Vec::new()];
    // All hits before the first bump, which makes the entries unreachable.
    for _ in 0..plan.rounds {
        let mut round = [Vec::new(), Vec::new()];
        for id in (0..known).cycle().take(plan.hits as usize) {
            for (times, crowd) in round.iter_mut().zip(crowds) {
                let started = Instant::now();
                member(crowd, id).await;
                times.push(started.elapsed());
            }
        }
        hits.push(round.map(median));
    }
    let mut first = Vec::new();
    for _ in 0..plan.rounds {
        let mut round = [Vec::new(), Vec::new()];
        for _ in 0..plan.hits {
            for (times, crowd) in round.iter_mut().zip(crowds) {
                let started = Instant::now();
                cache.invalidate([Tag::new("Crowd", crowd)]).await.expect("our own server");
                times.push(started.elapsed());
            }
        }
        if first.is_empty() {
            first = round.iter().map(|times| times[0].as_nanos() as f64).collect();
        }
        bumps.push(round.map(median));
    }
    let row = |what: &str, rounds: &[[f64; 2]]| {
        let [few, _] = [0, 1].map(|at| Spread::of(rounds.iter().map(|round| round[at])).median);
        let ratio = Spread::of(rounds.iter().map(|[few, many]| many / few));
        format!("| {what} | {} | {ratio} |\n", time(few))
    };
    let [few, many] = crowds.map(thousands);
    format!("| | {few} entries depend on the tag | {many} entries, to that |\n|---|---|---|\n")
        + &row("a hit, p50", &hits)
        + &row("a bump, p50", &bumps)
        + &format!("| the first bump | {} | {} |\n", time(first[0]), time(first[1]))
}

/// Stores one entry for each member.
async fn fill(crowd: u64) {
    const CALLERS: u64 = 256;
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        callers.spawn(async move {
            for id in (caller..crowd).step_by(CALLERS as usize) {
                member(crowd, id).await;
            }
        });
    }
    callers.join_all().await;
}

/// In ns.
fn median(times: Vec<Duration>) -> f64 {
    let mut nanos: Vec<u32> =
        times.iter().map(|time| u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)).collect();
    nanos.sort_unstable();
    percentile(&nanos, 0.5)
}
