//! `timeout` and `jitter`, read off the lives that entries have in Redis.

use std::time::Duration;

use fragkeys::{tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use super::{Runs, assert_runs, in_new_cache};
use crate::support::patient;

const HOUR: u64 = 3_600;
const HALF: Duration = Duration::from_millis(1_800_500);

/// Functions with these options, and a test that their entries live as long as that.
macro_rules! lives {
    ($argument:ident; $($name:ident($($option:tt)*): $range:expr;)*) => {
        $(
            #[tagged_cache(vary_on = [], $($option)*)]
            async fn $name($argument: u64) -> u64 {
                $argument
            }
        )*

        #[tokio::test]
        async fn entries_live_as_long_as_they_should() {
            let server = RedisServer::start();
            let config = patient(server.url()).default_timeout(Duration::from_secs(500));
            let cache = config.build().await.unwrap();
            $(
                with_cache(cache.clone(), $name(5)).await;
                let keys = server.keys(concat!("*:v:*::", stringify!($name), ":*"));
                let [key] = keys.as_slice() else { panic!("one entry, not {keys:?}") };
                let life: u64 = server.cli(&["PTTL", key]).trim().parse().unwrap();
                let range: std::ops::RangeInclusive<u64> = $range;
                assert!(range.contains(&life), "{life} ms for {}", stringify!($name));
            )*
        }
    };
}

/// A life that began a moment ago.
const fn just(seconds: u64) -> std::ops::RangeInclusive<u64> {
    (seconds - 60) * 1_000..=seconds * 1_000
}

lives! {
    minutes;
    by_default(): just(500);
    by_literal(timeout = 3600): just(3_600);
    by_literal_with_suffix(timeout = 3_600u32): just(3_600);
    by_product(timeout = 60 * 60): just(3_600);
    by_constant(timeout = HOUR): just(3_600);
    by_duration(timeout = Duration::from_secs(1_800)): just(1_800);
    by_duration_constant(timeout = HALF): just(1_801);
    by_argument(timeout = minutes * 60): just(300);
    by_block(timeout = { let hours = 2; HOUR * hours }): just(7_200);
    by_choice(timeout = if minutes > 1 { HOUR } else { 1 }): just(3_600);
    without_jitter(timeout = 3600, jitter = 0): just(3_600);
    with_some_jitter(timeout = 3600, jitter = 0.5): 1_740_000..=3_600_000;
}

/// What has no time to live is not in the cache, and is no error.
#[tokio::test]
async fn no_time_at_all() {
    #[tagged_cache(vary_on = [], timeout = Duration::ZERO)]
    async fn zero(runs: &Runs) -> u64 {
        runs.add();
        1
    }
    #[tagged_cache(vary_on = [], timeout = 10 - 20)]
    async fn negative(runs: &Runs) -> u64 {
        runs.add();
        1
    }
    in_new_cache(async {
        let runs = Runs::default();
        for _ in 0..2 {
            assert_runs(&runs, zero(&runs)).await;
            assert_runs(&runs, negative(&runs)).await;
        }
    })
    .await;
}

/// A share of the whole takes a random part off, never all of the call.
#[tokio::test]
async fn full_jitter_still_answers() {
    #[tagged_cache(vary_on = [id], jitter = 1.0)]
    async fn load(id: u64) -> u64 {
        id
    }
    in_new_cache(async {
        for id in 0..100 {
            assert_eq!(load(id).await, id);
            assert_eq!(load(id).await, id);
        }
    })
    .await;
}
