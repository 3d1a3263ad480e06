//! Functions that return a future, and what the future can do.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;

use fragkeys::{invalidate, tagged_cache};

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

pub(super) fn assert_send<T: Send>(_: &T) {}

#[tagged_cache(vary_on = [user_id], tags = ["User:<user_id>"])]
async fn with_error_that_stays(user_id: u64, runs: &Runs) -> Result<u64, Box<dyn Error>> {
    runs.add();
    let found = u32::try_from(user_id)?;
    Ok(u64::from(found))
}

#[tokio::test]
async fn future_is_send_though_the_error_is_not() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_send(&with_error_that_stays(7, &runs));
        assert_eq!(assert_runs(&runs, with_error_that_stays(7, &runs)).await.unwrap(), 7);
        assert_eq!(assert_hits(&runs, with_error_that_stays(7, &runs)).await.unwrap(), 7);
        assert!(assert_runs(&runs, with_error_that_stays(u64::MAX, &runs)).await.is_err());
    })
    .await;
}

#[tagged_cache(vary_on = [user_id], tags = ["User:<user_id>"], cache_if = |value| *value > 0)]
async fn on_one_thread(user_id: u64, runs: &Runs) -> u64 {
    runs.add();
    let shared = Rc::new(user_id);
    tokio::task::yield_now().await;
    *shared
}

#[tokio::test]
async fn body_that_is_not_send() {
    let local = tokio::task::LocalSet::new();
    let test = in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || on_one_thread(7, &runs)).await, 7);
    });
    local.run_until(test).await;
}

#[tokio::test]
async fn value_that_is_not_sync() {
    #[tagged_cache(vary_on = [])]
    async fn cell(runs: &Runs) -> std::cell::Cell<u8> {
        runs.add();
        std::cell::Cell::new(1)
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || cell(&runs)).await.get(), 1);
    })
    .await;
}

#[tagged_cache(vary_on = [user_id], tags = ["User:<user_id>"])]
fn opaque<'a>(
    user_id: u64,
    runs: &'a Runs,
) -> impl Future<Output = Result<u64, Box<dyn Error>>> + Send + 'a {
    async move {
        runs.add();
        if user_id == 0 {
            return Err("nobody".into());
        }
        Ok(u64::from(u32::try_from(user_id)?))
    }
}

#[tokio::test]
async fn opaque_future() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_send(&opaque(7, &runs));
        assert_eq!(assert_runs(&runs, opaque(7, &runs)).await.unwrap(), 7);
        assert_eq!(assert_hits(&runs, opaque(7, &runs)).await.unwrap(), 7);
        assert!(assert_runs(&runs, opaque(0, &runs)).await.is_err());
        assert!(assert_runs(&runs, opaque(0, &runs)).await.is_err());
    })
    .await;
}

#[tagged_cache(vary_on = [user_id], tags = ["User:<user_id>"])]
fn boxed<'a>(user_id: u64, runs: &'a Runs) -> Pin<Box<dyn Future<Output = u64> + Send + 'a>> {
    if user_id == 0 {
        return Box::pin(std::future::ready(0));
    }
    Box::pin(async move {
        runs.add();
        user_id
    })
}

#[tokio::test]
async fn boxed_future() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || boxed(7, &runs)).await, 7);
        let user_id = 7;
        invalidate!("User:<user_id>").await.unwrap();
        assert_eq!(assert_runs(&runs, boxed(7, &runs)).await, 7);
        assert_eq!(boxed(0, &runs).await, 0);
    })
    .await;
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[tagged_cache(vary_on = [user_id])]
fn boxed_by_alias(user_id: u64, runs: &Runs) -> BoxFuture<'_, Option<u64>> {
    Box::pin(async move {
        runs.add();
        Some(user_id)
    })
}

#[tokio::test]
async fn boxed_future_by_alias() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || boxed_by_alias(7, &runs)).await, Some(7));
    })
    .await;
}

struct Users(u64);

impl Users {
    #[tagged_cache(vary_on = [self.0, user_id], tags = ["Tenant:<self.0>"])]
    fn boxed<'a>(
        &'a self,
        user_id: u64,
        runs: &'a Runs,
    ) -> Pin<Box<dyn Future<Output = u64> + 'a>> {
        let sum = self.0 + user_id;
        Box::pin(async move {
            runs.add();
            sum
        })
    }

    #[tagged_cache(vary_on = [self.0])]
    fn opaque(&self, runs: &Runs) -> impl Future<Output = u64> {
        let tenant = self.0;
        async move {
            runs.add();
            tenant
        }
    }
}

#[tokio::test]
async fn methods_that_return_futures() {
    in_new_cache(async {
        let runs = Runs::default();
        let users = Users(1);
        assert_eq!(assert_caches(&runs, || users.boxed(7, &runs)).await, 8);
        assert_eq!(assert_caches(&runs, || users.opaque(&runs)).await, 1);
    })
    .await;
}

/// The body is a future like any other: nothing of it runs before the first poll.
#[tokio::test]
async fn future_that_is_dropped_does_nothing() {
    in_new_cache(async {
        let runs = Runs::default();
        drop(boxed(7, &runs));
        drop(opaque(7, &runs));
        drop(on_one_thread(7, &runs));
        assert_eq!(runs.count(), 0);
        assert_runs(&runs, boxed(7, &runs)).await;
    })
    .await;
}

#[tokio::test]
async fn spawned_on_threads() {
    #[tagged_cache]
    async fn owned(user_id: u64, name: String) -> (u64, String) {
        (user_id, name)
    }
    let spawned = tokio::spawn(in_new_cache(owned(7, "Ada".to_owned())));
    assert_eq!(spawned.await.unwrap(), (7, "Ada".to_owned()));
}

async fn large() -> u8 {
    let large = [0_u8; 8_192];
    tokio::task::yield_now().await;
    large[7]
}

#[tagged_cache(tags = ["User:<id>"])]
async fn cached_large(id: u64) -> u8 {
    let _ = id;
    large().await
}

/// The body's future is held once, and moved once on its way.
#[test]
fn a_cached_functions_future_is_not_much_larger_than_its_bodys() {
    let (plain, cached) = (size_of_val(&large()), size_of_val(&cached_large(1)));
    assert!(cached < 3 * plain, "{cached} bytes for {plain}");
}
