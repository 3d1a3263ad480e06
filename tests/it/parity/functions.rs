//! The decorators, and the helpers that they are made of.

use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::{Config, Outcome, Tag, invalidate, observe, tag, tagged_cache, with_cache};

use crate::support::memory_cache;

type Runs = AtomicU32;

fn count(runs: &Runs) -> u32 {
    runs.fetch_add(1, Ordering::SeqCst)
}

#[tagged_cache(timeout = 3600, tags = ["Dashboard", "User:{user_id}"], vary_on = [user_id, filter])]
async fn dashboard(runs: &Runs, user_id: u64, filter: &str) -> String {
    format!("{user_id} {filter} {}", count(runs))
}

#[tokio::test]
async fn a_function_is_cached_by_its_arguments_and_bumped_by_its_tags() {
    with_cache(memory_cache().await, async {
        let runs = Runs::new(0);
        assert_eq!(dashboard(&runs, 42, "all").await, "42 all 0");
        assert_eq!(dashboard(&runs, 42, "all").await, "42 all 0");
        assert_eq!(dashboard(&runs, 42, "own").await, "42 own 1");
        assert_eq!(dashboard(&runs, 43, "all").await, "43 all 2");
        let user_id = 42;
        invalidate!("User:{user_id}").await.unwrap();
        assert_eq!(dashboard(&runs, 42, "all").await, "42 all 3");
        assert_eq!(dashboard(&runs, 43, "all").await, "43 all 2");
        invalidate!("Dashboard").await.unwrap();
        assert_eq!(dashboard(&runs, 43, "all").await, "43 all 4");
    })
    .await;
}

/// One function in two releases, and another of its name.
macro_rules! stats {
    ($module:ident, $($option:tt)*) => {
        mod $module {
            #[fragkeys::tagged_cache(timeout = 60, vary_on = [], $($option)*)]
            pub(super) async fn stats(runs: &super::Runs) -> u32 {
                super::count(runs)
            }
        }
    };
}

stats!(first, key_name = "stats", version = "1");
stats!(second, key_name = "stats", version = "2");
stats!(elsewhere, cache_name = "parity");

#[tokio::test]
async fn version_key_name_and_cache_name() {
    let cache = memory_cache().await;
    let runs = Runs::new(0);
    with_cache(cache.clone(), async {
        assert_eq!((first::stats(&runs).await, first::stats(&runs).await), (0, 0));
        assert_eq!((second::stats(&runs).await, second::stats(&runs).await), (1, 1));
    })
    .await;
    assert_eq!(cache.stats().misses, 2);

    // Named, and not of whatever cache is there: without it, uncached.
    assert_eq!((elsewhere::stats(&runs).await, elsewhere::stats(&runs).await), (2, 3));
    Config::memory().install_as("parity").await.unwrap();
    assert_eq!((elsewhere::stats(&runs).await, elsewhere::stats(&runs).await), (4, 4));
}

/// A synchronous function is called where it may block, from a cached one that waits for it.
#[tokio::test]
async fn a_blocking_function_is_cached_from_an_async_one() {
    fn slow_sum(numbers: &[u64]) -> u64 {
        numbers.iter().sum()
    }
    #[tagged_cache(timeout = 60, tags = ["Numbers"], vary_on = [numbers])]
    async fn sum(runs: &Runs, numbers: Vec<u64>) -> Result<u64, tokio::task::JoinError> {
        count(runs);
        tokio::task::spawn_blocking(move || slow_sum(&numbers)).await
    }
    with_cache(memory_cache().await, async {
        let runs = Runs::new(0);
        for _ in 0..3 {
            assert_eq!(sum(&runs, vec![1, 2, 3]).await.unwrap(), 6);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    })
    .await;
}

/// Theirs fills in the first placeholder of a template and drops the others.
#[tokio::test]
async fn every_placeholder_of_a_template_is_filled_in() {
    struct User {
        id: u64,
        role: &'static str,
    }
    #[tagged_cache(timeout = 60, tags = ["User:<user.id>:Role:<user.role>"], vary_on = [])]
    async fn rights(runs: &Runs, user: &User) -> u32 {
        count(runs)
    }
    with_cache(memory_cache().await, async {
        let runs = Runs::new(0);
        let (admin, guest) = (User { id: 1, role: "admin" }, User { id: 1, role: "guest" });
        assert_eq!((rights(&runs, &admin).await, rights(&runs, &guest).await), (0, 1));
        let user = &admin;
        assert_eq!(tag!("User:<user.id>:Role:<user.role>"), tag!("User:1:Role:admin"));
        invalidate!("User:<user.id>:Role:<user.role>").await.unwrap();
        assert_eq!((rights(&runs, &admin).await, rights(&runs, &guest).await), (2, 1));
    })
    .await;
}

#[test]
fn a_template_becomes_a_tag_and_a_value_stays_a_value() {
    let name = "a:b";
    assert_eq!(tag!("User:{name}"), Tag::new("User", "a:b"));
    assert_eq!(tag!("User:<name>").to_string(), r"User:a\:b");
    assert_eq!(tag!("Dashboard"), Tag::global("Dashboard"));
}

/// Theirs leaves out arguments that are `None`, and joins the others with `_`.
#[tokio::test]
async fn every_argument_counts_and_stays_one() {
    #[tagged_cache(timeout = 60, vary_on = [a, b])]
    async fn pair(runs: &Runs, a: Option<&str>, b: Option<&str>) -> u32 {
        count(runs)
    }
    with_cache(memory_cache().await, async {
        let runs = Runs::new(0);
        let calls = [
            (Some("1_b_2"), None),
            (Some("1"), Some("2")),
            (None, Some("1")),
            (Some("1"), None),
            (None, None),
            (Some("None"), None),
        ];
        for (number, (a, b)) in (0..).zip(calls) {
            assert_eq!(pair(&runs, a, b).await, number, "{a:?} {b:?}");
        }
        for (number, (a, b)) in (0..).zip(calls) {
            assert_eq!(pair(&runs, a, b).await, number, "{a:?} {b:?}");
        }
    })
    .await;
}

/// Theirs takes a stored `None` for a miss.
#[tokio::test]
async fn none_is_a_value() {
    #[tagged_cache(timeout = 60, vary_on = [])]
    async fn nobody(runs: &Runs) -> Option<String> {
        count(runs);
        None
    }
    with_cache(memory_cache().await, async {
        let runs = Runs::new(0);
        assert_eq!(observe(nobody(&runs)).await, (None, Some(Outcome::Miss)));
        assert_eq!(observe(nobody(&runs)).await, (None, Some(Outcome::Hit)));
    })
    .await;
}
