//! `on_commit(..).write_ahead()`, and guards inside of scopes.

use fragkeys::{Cache, Outcome, Tag, committing, guard, on_commit, with_cache};

use super::{Source, call, version};
use crate::support::{eventually, over_both_stores};

over_both_stores! {
    what_is_held_is_marked_until_the_scope_has_ended,
    after_an_err_the_marks_end_at_once,
    after_a_commit_without_an_answer_they_stay,
    dropped_they_stay,
    the_outermost_scope_decides,
    a_guard_inside_waits_for_the_scope,
    without_it_nothing_is_marked,
}

/// From outside: in a task that has nothing to do with the scope.
async fn outside(cache: &Cache) -> Outcome {
    let cache = cache.clone();
    tokio::spawn(async move { call(&cache, &Source::default(), 1).await.1 }).await.unwrap()
}

async fn bump(cache: &Cache) {
    let bumped = cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(bumped.held(), [Tag::new("Row", 1)]);
}

async fn what_is_held_is_marked_until_the_scope_has_ended(cache: Cache) {
    outside(&cache).await;
    let before = version(&cache).await;
    let transaction = on_commit(async {
        assert_eq!(outside(&cache).await, Outcome::Hit);
        bump(&cache).await;
        bump(&cache).await;
        assert_eq!(outside(&cache).await, Outcome::Bypass);
        committing(async { Ok::<_, ()>(()) }).await
    });
    let bumped = transaction.write_ahead().report().await.unwrap().bumped.unwrap();
    assert_eq!(bumped.len(), 1);
    let after = version(&cache).await;
    assert!(after > before && bumped.version(&Tag::new("Row", 1)) == Some(after));
    assert_eq!([outside(&cache).await, outside(&cache).await], [Outcome::Miss, Outcome::Hit]);
}

async fn after_an_err_the_marks_end_at_once(cache: Cache) {
    let transaction = on_commit(async {
        bump(&cache).await;
        assert_eq!(outside(&cache).await, Outcome::Bypass);
        Err::<(), _>("rolled back")
    });
    assert_eq!(transaction.write_ahead().await, Err("rolled back"));
    eventually("it is cached again", async || outside(&cache).await == Outcome::Hit).await;
}

/// An error of a commit may be a lost answer: the marks stay until it must be over.
async fn after_a_commit_without_an_answer_they_stay(cache: Cache) {
    let transaction = on_commit(async {
        bump(&cache).await;
        committing(async { Err::<(), _>("connection lost") }).await
    });
    assert!(transaction.write_ahead().await.is_err());
    for _ in 0..20 {
        assert_eq!(outside(&cache).await, Outcome::Bypass);
        tokio::task::yield_now().await;
    }
}

async fn dropped_they_stay(cache: Cache) {
    let mut transaction = Box::pin(
        on_commit(async {
            bump(&cache).await;
            std::future::pending::<Result<(), ()>>().await
        })
        .write_ahead(),
    );
    eventually("it is marked", async || {
        std::future::poll_fn(|context| {
            let _ = transaction.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        outside(&cache).await == Outcome::Bypass
    })
    .await;
    drop(transaction);
    assert_eq!(outside(&cache).await, Outcome::Bypass);
}

async fn the_outermost_scope_decides(cache: Cache) {
    for (is_inner, is_outer) in [(true, false), (false, true), (true, true)] {
        let with = |is_ahead: bool, scope: fragkeys::OnCommit<_, _>| match is_ahead {
            true => scope.write_ahead(),
            false => scope,
        };
        let outer = on_commit(Box::pin(async {
            let inner = on_commit(Box::pin(async {
                bump(&cache).await;
                Err::<(), _>("a savepoint")
            })
                as std::pin::Pin<Box<dyn Future<Output = Result<(), &str>>>>);
            assert!(with(is_inner, inner).await.is_err());
            assert_eq!(outside(&cache).await, Outcome::Bypass);
            Ok::<_, &str>(())
        })
            as std::pin::Pin<Box<dyn Future<Output = Result<(), &str>>>>);
        with(is_outer, outer).await.unwrap();
        assert_eq!([outside(&cache).await, outside(&cache).await], [Outcome::Miss, Outcome::Hit]);
    }
}

async fn a_guard_inside_waits_for_the_scope(cache: Cache) {
    outside(&cache).await;
    let transaction = on_commit(async {
        let told = with_cache(cache.clone(), guard([Tag::new("Row", 1)], async {}).report()).await;
        assert_eq!(told.bumped.unwrap().held(), [Tag::new("Row", 1)]);
        assert_eq!(outside(&cache).await, Outcome::Bypass, "it is not committed yet");
        Ok::<_, ()>(())
    });
    with_cache(cache.clone(), transaction).await.unwrap();
    assert_eq!([outside(&cache).await, outside(&cache).await], [Outcome::Miss, Outcome::Hit]);
}

async fn without_it_nothing_is_marked(cache: Cache) {
    outside(&cache).await;
    let transaction = on_commit(async {
        bump(&cache).await;
        assert_eq!(outside(&cache).await, Outcome::Hit);
        Ok::<_, ()>(())
    });
    transaction.await.unwrap();
    assert_eq!(outside(&cache).await, Outcome::Miss);
}
