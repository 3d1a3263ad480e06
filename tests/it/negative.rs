//! `cache_err`, `timeout_none` and `timeout = |value| …`: answers that are kept for less long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{
    Cache, Config, Json, MessagePack, Near, Outcome, observe, peek, tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::flight::wait_for_misses;
use crate::support::{over_both_stores, patient};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Missing {
    Gone { id: u32 },
    Down(String),
}

/// Counts its runs.
#[derive(Default)]
struct Source(AtomicU32);

impl Source {
    fn run(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    fn runs(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    fn find(&self, id: u32) -> Result<String, Missing> {
        match (self.run(), id) {
            (_, 0) => Err(Missing::Gone { id }),
            (run, 1) => Err(Missing::Down(format!("run {run}"))),
            (run, _) => Ok(format!("row {id}, run {run}")),
        }
    }
}

/// Only what is gone is kept.
fn chosen(error: &Missing) -> Option<Duration> {
    matches!(error, Missing::Gone { .. }).then_some(Duration::from_secs(50))
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id], timeout = 1_000, cache_err = chosen)]
async fn find(source: &Source, id: u32) -> Result<String, Missing> {
    source.find(id)
}

#[tagged_cache(vary_on = [id], codec = Json, cache_err = |error: &Missing| chosen(error))]
async fn find_as_json(source: &Source, id: u32) -> Result<String, Missing> {
    source.find(id)
}

#[tagged_cache(vary_on = [id], codec = MessagePack, cache_err = chosen)]
async fn find_as_message_pack(source: &Source, id: u32) -> Result<String, Missing> {
    source.find(id)
}

async fn chosen_errors_are_answers(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), async {
        let (first, outcome) = observe(find(&source, 0)).await;
        assert_eq!((first, outcome), (Err(Missing::Gone { id: 0 }), Some(Outcome::Miss)));
        let (second, outcome) = observe(find(&source, 0)).await;
        assert_eq!((second, outcome), (Err(Missing::Gone { id: 0 }), Some(Outcome::Hit)));
        assert_eq!(peek(find(&source, 0)).await, Some(Err(Missing::Gone { id: 0 })));
        assert_eq!(source.runs(), 1);

        for run in 1..3 {
            let (error, outcome) = observe(find(&source, 1)).await;
            assert_eq!(error, Err(Missing::Down(format!("run {run}"))));
            assert_eq!(outcome, Some(Outcome::NotStored));
        }
        find(&source, 2).await.unwrap();
        assert_eq!(find(&source, 2).await.unwrap(), "row 2, run 3");

        cache.invalidate(["Row:0".parse::<fragkeys::Tag>().unwrap()]).await.unwrap();
        assert_eq!(peek(find(&source, 0)).await, None);
    })
    .await;
}

async fn in_every_codec(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        for _ in 0..2 {
            assert_eq!(find_as_json(&source, 0).await, Err(Missing::Gone { id: 0 }));
            assert_eq!(find_as_json(&source, 2).await.unwrap(), "row 2, run 1");
            assert_eq!(find_as_message_pack(&source, 0).await, Err(Missing::Gone { id: 0 }));
            assert_eq!(find_as_message_pack(&source, 2).await.unwrap(), "row 2, run 3");
        }
    })
    .await;
}

/// The same function, released without the option and with it.
mod without {
    use super::{Missing, Source};

    #[fragkeys::tagged_cache(vary_on = [id], key_name = "negative-release")]
    pub(super) async fn find(source: &Source, id: u32) -> Result<String, Missing> {
        source.find(id)
    }
}

mod with {
    use super::{Missing, Source, chosen};

    #[fragkeys::tagged_cache(vary_on = [id], key_name = "negative-release", cache_err = chosen)]
    pub(super) async fn find(source: &Source, id: u32) -> Result<String, Missing> {
        source.find(id)
    }
}

/// I4: a payload that says which of the two it is, and one that does not, are no answers to each
/// other's calls.
async fn i4_with_and_without_the_option_are_two_functions(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        assert_eq!(without::find(&source, 2).await.unwrap(), "row 2, run 0");
        assert_eq!(with::find(&source, 2).await.unwrap(), "row 2, run 1");
        assert_eq!(without::find(&source, 2).await.unwrap(), "row 2, run 0");
        assert_eq!(with::find(&source, 2).await.unwrap(), "row 2, run 1");
    })
    .await;
}

#[derive(Default)]
struct Gated {
    source: Source,
    gate: Option<Semaphore>,
}

impl Gated {
    async fn pass(&self) {
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
    }
}

#[tagged_cache(vary_on = [id], cache_err = chosen)]
async fn find_behind_a_gate(gated: &Gated, id: u32) -> Result<String, Missing> {
    gated.pass().await;
    gated.source.find(id)
}

/// A chosen error answers those who wait for the run; another is its caller's alone.
async fn only_chosen_errors_are_shared(cache: Cache) {
    let mut misses = 0;
    for (id, runs) in [(0, 1), (1, 10)] {
        let gated = Arc::new(Gated { gate: Some(Semaphore::new(0)), ..Gated::default() });
        let ask = || {
            let gated = gated.clone();
            tokio::spawn(with_cache(
                cache.clone(),
                async move { find_behind_a_gate(&gated, id).await },
            ))
        };
        let calls: Vec<_> = (0..10).map(|_| ask()).collect();
        misses += 10;
        wait_for_misses(&cache, misses).await;
        tokio::task::yield_now().await;
        gated.gate.as_ref().unwrap().add_permits(10);
        for call in calls {
            assert!(call.await.unwrap().is_err());
        }
        assert_eq!(gated.source.runs(), runs);
    }
}

#[tagged_cache(batch, vary_on = [], timeout_none = 50, timeout = |name| name.as_ref().map_or(1, |_| 1_000))]
async fn names(source: &Source, ids: &[u32]) -> HashMap<u32, Option<String>> {
    source.run();
    ids.iter().map(|id| (*id, (id % 2 == 0).then(|| format!("name {id}")))).collect()
}

async fn absence_in_a_batch_is_kept(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        for _ in 0..2 {
            let names = names(&source, &[1, 2]).await;
            assert_eq!((names[&1].as_deref(), names[&2].as_deref()), (None, Some("name 2")));
        }
    })
    .await;
    assert_eq!(source.runs(), 1);
}

over_both_stores!(
    chosen_errors_are_answers,
    in_every_codec,
    i4_with_and_without_the_option_are_two_functions,
    only_chosen_errors_are_shared,
    absence_in_a_batch_is_kept,
);

/// Functions with these options, and a test that their entries live as long as that.
macro_rules! lives {
    ($argument:ident; $($name:ident($($option:tt)*) -> $returned:ty = $value:expr; $seconds:literal;)*) => {
        $(
            #[tagged_cache(vary_on = [$argument], $($option)*)]
            async fn $name($argument: u64) -> $returned {
                $value
            }
        )*

        #[tokio::test]
        async fn entries_live_as_long_as_their_values_say() {
            let server = RedisServer::start();
            let config = patient(server.url()).default_timeout(Duration::from_secs(5_000));
            let cache = config.build().await.unwrap();
            $(
                let _ = with_cache(cache.clone(), $name(7)).await;
                assert_lives(&server, stringify!($name), $seconds);
            )*
        }
    };
}

fn assert_lives(server: &RedisServer, name: &str, seconds: u64) {
    let keys = server.keys(&format!("*:v:*::{name}:*"));
    if seconds == 0 {
        return assert!(keys.is_empty(), "{name} is stored");
    }
    let [key] = keys.as_slice() else { panic!("one entry of {name}, not {keys:?}") };
    let life: u64 = server.cli(&["PTTL", key]).trim().parse().unwrap();
    let range = (seconds - 20) * 1_000..=seconds * 1_000;
    assert!(range.contains(&life), "{life} ms for {name}");
}

lives! {
    id;
    none(timeout_none = 50) -> Option<u64> = (id == 0).then_some(id); 50;
    some(timeout_none = 50) -> Option<u64> = Some(id); 5_000;
    none_of_a_result(timeout = 500, timeout_none = Duration::from_secs(60)) -> Result<Option<u64>, ()> = Ok(None); 60;
    some_of_a_result(timeout = 500, timeout_none = Duration::from_secs(60)) -> Result<Option<u64>, ()> = Ok(Some(id)); 500;
    none_by_argument(timeout_none = id * 10) -> Option<u64> = None; 70;
    none_that_is_refused(timeout_none = 50, cache_if = Option::is_some) -> Option<u64> = None; 0;
    seconds_of_value(timeout = |value| value * 10) -> u64 = id; 70;
    duration_of_value(timeout = |value| Duration::from_secs(value.len() as u64 * 50)) -> String = "two".to_owned(); 150;
    of_the_ok_value(timeout = |value| *value) -> Result<u64, ()> = Ok(id * 100); 700;
    of_value_and_argument(timeout = |value| value + id) -> u64 = id * 9; 70;
    of_value_or_none(timeout = |value| value.map_or(9, |_| 90), timeout_none = 50) -> Option<u64> = None; 50;
    of_value_or_some(timeout = |value| value.map_or(9, |_| 90), timeout_none = 50) -> Option<u64> = Some(1); 90;
    of_an_error(cache_err = |error: &u64| Some(Duration::from_secs(*error))) -> Result<(), u64> = Err(id * 10); 70;
    of_no_error(cache_err = |_: &u64| None, timeout = 100) -> Result<(), u64> = Ok(()); 100;
    of_another_error(cache_err = |_: &u64| None, timeout = 100) -> Result<(), u64> = Err(1); 0;
    of_an_error_for_no_time(cache_err = |_: &u64| Some(Duration::ZERO)) -> Result<(), u64> = Err(1); 0;
    all_at_once(cache_err = |_| Some(Duration::from_secs(30)), timeout = |_| 100, timeout_none = 50) -> Result<Option<u64>, u64> = Ok(None); 50;
    less_than_nothing(timeout = |_| -5) -> u64 = id; 0;
    for_ever(timeout = |_| Duration::MAX) -> u64 = id; 315_360_000;
}

/// The share that is taken off at random is one of the value's own timeout.
#[tokio::test]
async fn jitter_is_a_share_of_what_the_value_says() {
    #[tagged_cache(vary_on = [id], jitter = 0.5, timeout = |_| 1_000, timeout_none = 100)]
    async fn jittered(id: u64) -> Option<u64> {
        id.is_multiple_of(2).then_some(id)
    }
    let server = RedisServer::start();
    let cache = patient(server.url()).build().await.unwrap();
    for id in 0..40 {
        with_cache(cache.clone(), jittered(id)).await;
    }
    let mut lives: Vec<u64> = server
        .keys("fragkeys:v:*:jittered:*")
        .iter()
        .map(|key| server.cli(&["PTTL", key]).trim().parse().unwrap())
        .collect();
    lives.sort_unstable();
    let (of_none, of_some) = lives.split_at(20);
    assert!(of_none.iter().all(|life| (30_000..=100_000).contains(life)), "{of_none:?}");
    assert!(of_some.iter().all(|life| (480_000..=1_000_000).contains(life)), "{of_some:?}");
    lives.dedup();
    assert!(lives.len() > 20, "{lives:?}");
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NotThere;

/// Errors are kept in the process as well, where they can be cloned.
#[tokio::test]
async fn chosen_errors_are_in_the_near_tier() {
    #[tagged_cache(vary_on = [], near = true, cache_err = |_| Some(Duration::from_secs(60)))]
    async fn find(source: &Source) -> Result<u8, NotThere> {
        source.run();
        Err(NotThere)
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), async {
        for _ in 0..3 {
            assert_eq!(find(&source).await, Err(NotThere));
        }
    })
    .await;
    assert_eq!((source.runs(), cache.stats().near_hits), (1, 2));
}
