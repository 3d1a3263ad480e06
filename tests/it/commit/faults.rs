//! The bump itself fails after the commit, or is dropped on its way.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Config, ErrorKind, Outcome, Tag, observe, on_commit, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use crate::support::{Source, ask, eventually, patient, redis_cache, row, worker};

async fn commit(cache: &Cache) -> fragkeys::Committed<&'static str> {
    let transaction = on_commit(async {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        Ok::<_, ()>("committed")
    });
    transaction.report().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_a_bump_that_fails_after_the_commit_is_told_queued_and_retried() {
    let mut server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_secs(1));
    let cache = config.build().await.unwrap();
    let before = cache.tag_version(&Tag::new("Row", 1)).await.unwrap();
    server.kill();

    let committed = commit(&cache).await;
    assert_eq!(committed.value, "committed");
    let error = committed.bumped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(error.to_string().contains("`Row:1` failed and is queued"), "{error}");
    assert_eq!(cache.queued_bumps(), 1);
    // Without a report it is the same, but for the telling.
    let silent = on_commit(async {
        cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
        Ok::<_, ()>(())
    });
    silent.await.unwrap();
    assert_eq!(cache.queued_bumps(), 2);

    server.restart();
    eventually("both go through", async || cache.queued_bumps() == 0).await;
    assert!(cache.tag_version(&Tag::new("Row", 1)).await.unwrap() > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_dropped_while_the_bump_is_on_its_way_it_is_done_all_the_same() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 1)).await;
    let before = cache.tag_version(&Tag::new("Row", 1)).await.unwrap();

    let arrived = Arc::new(tokio::sync::Notify::new());
    let seen = arrived.clone();
    // The bump stays in the proxy for as long as the transaction lives.
    proxy.on_request(Box::new(move |request| {
        if !request.windows(4).any(|part| part == b"EVAL") {
            return Action::Forward;
        }
        seen.notify_one();
        Action::Hold
    }));
    {
        let transaction = commit(&cache);
        tokio::select! {
            _ = transaction => unreachable!("its bump is held up"),
            () = arrived.notified() => {}
        }
    }
    assert_eq!(cache.queued_bumps(), 1);
    let read = with_cache(cache.clone(), observe(row(&source, 1))).await;
    assert_eq!(read.1, Some(Outcome::Bypass), "it may not read what the bump would hide");
    proxy.clear_hook();
    proxy.release();
    eventually("the bump goes through", async || {
        // Also what the hook had decided to hold when it was cleared.
        proxy.release();
        cache.queued_bumps() == 0
    })
    .await;
    assert!(cache.tag_version(&Tag::new("Row", 1)).await.unwrap() > before);
}

/// Another process reads all the time; after the scope it reads what was committed.
#[tokio::test(flavor = "multi_thread")]
async fn i2_another_process_sees_the_change_when_the_scope_has_ended() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let mut other = worker(&server);
    assert_eq!(ask(&mut other, "call 1"), "miss 0");
    ask(&mut other, "set 1");
    on_commit(async {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_eq!(ask(&mut other, "call 1"), "hit 0", "nothing is committed yet");
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert_eq!(ask(&mut other, "call 1"), "miss 1");
}

/// I7, I8: every point at which a transaction can be dropped.
#[tokio::test]
async fn i8_dropped_at_any_poll_nothing_is_left_behind() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    for polls in 0..20 {
        let transaction = on_commit(async {
            cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
            tokio::task::yield_now().await;
            cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
            Ok::<_, ()>(())
        });
        let mut transaction = std::pin::pin!(transaction);
        for _ in 0..polls {
            let once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(transaction.as_mut().poll(context).is_ready())
            });
            if once.await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    eventually("no bump is left", async || cache.queued_bumps() == 0).await;
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 1)).await;
    assert_eq!(with_cache(cache, observe(row(&source, 1))).await.1, Some(Outcome::Hit));
}
