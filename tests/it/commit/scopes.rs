//! Scopes in scopes, in tasks, over several caches; and their bound.

use fragkeys::{
    Cache, CommitScope, Config, Outcome, Tag, Version, cache, invalidate, observe, on_commit,
    with_cache,
};

use crate::support::{Source, memory_cache, over_both_stores, row};

over_both_stores! {
    an_inner_scope_waits_for_the_outer_one,
    an_outer_error_drops_what_an_inner_scope_gave,
    an_inner_error_keeps_its_bumps_for_the_outer_scope,
    spawned_tasks_take_part_by_their_handle,
    a_handle_outlives_its_scope,
    scopes_do_not_see_each_other,
    each_cache_gets_its_own_bumps,
    past_the_bound_it_is_one_bump_of_the_whole_cache,
}

async fn version(cache: &Cache, tag: &str) -> Version {
    cache.tag_version(&tag.into()).await.unwrap()
}

async fn an_inner_scope_waits_for_the_outer_one(cache: Cache) {
    let before = version(&cache, "Inner").await;
    on_commit(async {
        let inner = on_commit(async {
            cache.invalidate(["Inner"]).await.unwrap();
            Ok::<_, ()>(1)
        });
        let inner = inner.report().await.unwrap();
        assert_eq!(inner.value, 1);
        assert_eq!(inner.bumped.unwrap().held(), [Tag::global("Inner")]);
        assert_eq!(version(&cache, "Inner").await, before);
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert!(version(&cache, "Inner").await > before);
}

async fn an_outer_error_drops_what_an_inner_scope_gave(cache: Cache) {
    let before = version(&cache, "Inner").await;
    let outcome = on_commit(async {
        on_commit(async { cache.invalidate(["Inner"]).await }).await.unwrap();
        Err::<(), _>("rolled back")
    });
    outcome.await.unwrap_err();
    assert_eq!(version(&cache, "Inner").await, before);
}

/// The outer transaction may commit what the inner function wrote before it failed.
async fn an_inner_error_keeps_its_bumps_for_the_outer_scope(cache: Cache) {
    let before = version(&cache, "Inner").await;
    on_commit(async {
        let inner = on_commit(async {
            cache.invalidate(["Inner"]).await.unwrap();
            Err::<(), _>("not so important")
        });
        inner.await.unwrap_err();
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert!(version(&cache, "Inner").await > before);
}

async fn spawned_tasks_take_part_by_their_handle(cache: Cache) {
    let (with, without) = (version(&cache, "With").await, version(&cache, "Without").await);
    let outcome = on_commit(async {
        let bump = |tag: &'static str| {
            let cache = cache.clone();
            async move { cache.invalidate([tag]).await.unwrap() }
        };
        let scope = CommitScope::current().unwrap();
        let held = tokio::spawn(scope.run(bump("With"))).await.unwrap();
        assert_eq!(held.held(), [Tag::global("With")]);
        let sent = tokio::spawn(bump("Without")).await.unwrap();
        assert_eq!(sent.len(), 1);
        Err::<(), _>("rolled back")
    });
    outcome.await.unwrap_err();
    assert_eq!(version(&cache, "With").await, with);
    assert!(version(&cache, "Without").await > without);
}

async fn a_handle_outlives_its_scope(cache: Cache) {
    let mut handle = None;
    on_commit(async {
        handle = CommitScope::current();
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    let source = Source::default();
    let late = handle.unwrap().run(with_cache(cache.clone(), async {
        assert!(CommitScope::current().is_none());
        assert_eq!(invalidate!("Late").await.unwrap().len(), 1, "sent at once");
        assert_eq!(observe(row(&source, 1)).await.1, Some(Outcome::Miss), "stored as ever");
        // And a scope of its own is not joined to the ended one.
        on_commit(cache.invalidate(["Late"])).report().await.unwrap().bumped.unwrap()
    }));
    assert_eq!(late.await.len(), 1);
    assert!(CommitScope::current().is_none());
}

async fn scopes_do_not_see_each_other(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 1)).await;
    let gate = tokio::sync::Barrier::new(2);
    let one = on_commit(async {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        gate.wait().await; // held
        gate.wait().await; // the other one has read
        Ok::<_, ()>(())
    });
    let two = on_commit(async {
        gate.wait().await;
        let read = with_cache(cache.clone(), observe(row(&source, 1))).await;
        assert_eq!(read.1, Some(Outcome::Hit), "not committed yet");
        gate.wait().await;
        Ok::<_, ()>(())
    });
    let (one, two) = tokio::join!(one, two);
    one.and(two).unwrap();
}

async fn each_cache_gets_its_own_bumps(one: Cache) {
    let two = memory_cache().await;
    let before = (version(&one, "T").await, version(&two, "T").await);
    let untouched = (version(&one, "Two").await, version(&two, "One").await);
    on_commit(async {
        one.invalidate(["T", "One"]).await.unwrap();
        with_cache(two.clone(), async { cache().invalidate(["T", "Two"]).await }).await.unwrap();
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert!(version(&one, "T").await > before.0);
    assert!(version(&two, "T").await > before.1);
    assert_eq!((version(&one, "Two").await, version(&two, "One").await), untouched);
}

async fn past_the_bound_it_is_one_bump_of_the_whole_cache(_: Cache) {
    let cache = Config::memory().max_queued_bumps(10).build().await.unwrap();
    let entry = cache.entry("any");
    entry.set(&1).await.unwrap();
    let committed = on_commit(async {
        for number in 0..11 {
            cache.invalidate([Tag::new("Many", number)]).await.unwrap();
        }
        Ok::<_, ()>(())
    });
    let bumped = committed.report().await.unwrap().bumped.unwrap();
    assert_eq!(bumped.len(), 1);
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
}

/// In a handler: spawned, with an error that is not `Send` and is not kept over an await.
#[tokio::test]
async fn a_scope_can_be_spawned() {
    async fn handler(cache: Cache) -> usize {
        let transaction = on_commit(async {
            let bumped = cache.invalidate(["T"]).await?;
            Ok::<_, Box<dyn std::error::Error>>(bumped.held().len())
        });
        transaction.await.unwrap_or_default()
    }
    assert_eq!(tokio::spawn(handler(memory_cache().await)).await.unwrap(), 1);
}
