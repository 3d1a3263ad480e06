//! Several processes that find one old value: one of them runs. (Two caches in one server have leases
//! between them, as two processes have.)

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Outcome, tagged_cache};
use fragkeys_tests::RedisServer;

use super::{HOUR, Source, ask, expire, life, revalidated, revalidated_by_a_caller};
use crate::flight::wait_for_misses;
use crate::support::{eventually, patient};

#[tagged_cache(vary_on = [id], timeout = |run| life(*run), stale_if_error = HOUR)]
async fn kept_for_errors(source: Arc<Source>, id: u64) -> Result<usize, String> {
    source.run().await
}

async fn two() -> (RedisServer, Cache, Cache) {
    let server = RedisServer::start();
    // However long a busy machine keeps them waiting, they keep their leases.
    let cache = || patient(server.url()).lease_timeout(Duration::from_secs(60)).build();
    let (first, second) = (cache().await.unwrap(), cache().await.unwrap());
    (server, first, second)
}

/// The old value that the store keeps is no answer to who asks for a lease.
#[tokio::test]
async fn one_runs_for_what_has_expired() {
    let (_server, first, second) = two().await;
    let source = Source::gated();
    source.release(1);
    ask(&first, kept_for_errors(source.clone(), 1)).await.unwrap().0.unwrap();
    expire().await;
    let runs = ask(&first, kept_for_errors(source.clone(), 1));
    source.wait_for_runs(2).await;
    let waits = ask(&second, kept_for_errors(source.clone(), 1));
    wait_for_misses(&second, 1).await;
    source.release(2);
    assert_eq!(runs.await.unwrap(), (Ok(1), Some(Outcome::Miss)));
    assert_eq!(waits.await.unwrap(), (Ok(1), Some(Outcome::Shared)));
    assert_eq!(source.runs(), 2);
}

/// Nobody waits for it: who finds that another process is at it gives what is there.
#[tokio::test]
async fn one_runs_behind_the_back() {
    let (server, first, second) = two().await;
    let source = Source::gated();
    source.release(1);
    ask(&first, revalidated(source.clone(), 1)).await.unwrap().0.unwrap();
    expire().await;
    let stale = (Ok(0), Some(Outcome::Stale));
    assert_eq!(ask(&first, revalidated(source.clone(), 1)).await.unwrap(), stale);
    source.wait_for_runs(2).await;
    server.reset_stats();
    assert_eq!(ask(&second, revalidated(source.clone(), 1)).await.unwrap(), stale);
    // Of the scripts, only the question for a lease asks for how long there is one.
    eventually("the second one asks", async || server.command_calls("pttl") == 1).await;
    source.release(2);
    eventually("it is stored", async || first.stats().stored == 2).await;
    let hit = (Ok(1), Some(Outcome::Hit));
    assert_eq!(ask(&second, revalidated(source.clone(), 1)).await.unwrap(), hit);
    assert_eq!((source.runs(), first.stats().refreshes, second.stats().refreshes), (2, 1, 0));
}

/// The same where a caller would have to.
#[tokio::test]
async fn one_caller_runs() {
    let (_server, first, second) = two().await;
    let source = Source::gated();
    let call = |cache: &Cache| {
        let source = source.clone();
        ask(cache, async move { revalidated_by_a_caller(&source, 1).await })
    };
    source.release(1);
    call(&first).await.unwrap().0.unwrap();
    expire().await;
    let elected = call(&first);
    source.wait_for_runs(2).await;
    let others = [call(&second), call(&second), call(&first)];
    let all_are_answered = async || others.iter().all(|other| other.is_finished());
    eventually("the others are answered", all_are_answered).await;
    source.release(1);
    for other in others {
        assert_eq!(other.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    assert_eq!(elected.await.unwrap(), (Ok(1), Some(Outcome::Miss)));
    assert_eq!(call(&second).await.unwrap(), (Ok(1), Some(Outcome::Hit)));
    assert_eq!(source.runs(), 2);
}
