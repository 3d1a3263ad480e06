//! A lease that is lost costs a run, and nobody's result.

use std::time::Duration;

use fragkeys_tests::RedisServer;
use rustix::process::{Pid, Signal, kill_process};

use super::{Herd, Source, leases};
use crate::support::{eventually, patient};

/// One process runs and another waits; then the first one's lease is taken away from it.
async fn lost(is_stopped: bool) {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let [mut first, mut second, mut third] = [(); 3].map(|()| Herd::start_mortal(&server, &source));
    first.call(10, 1);
    let run = source.next().await;
    second.call(10, 1);
    second.wait_for_misses(10).await;
    let pid = Pid::from_raw(first.0.pid().try_into().unwrap()).unwrap();
    if is_stopped {
        kill_process(pid, Signal::STOP).unwrap();
    } else {
        server.cli(&["DEL", &leases(&server)[0]]);
    }
    let other = source.next().await;
    kill_process(pid, Signal::CONT).unwrap();
    // It does not take back what another has by now.
    eventually("it would renew", async || server.command_calls("pexpire") > 4).await;
    assert_eq!(source.runs(), 2);
    run.answer("first").await;
    first.expect(10);
    // And what it gave is there for all who come, while the other still runs.
    third.call(10, 1);
    third.expect(10);
    assert_eq!(leases(&server).len(), 1, "the other's lease is not let go of by the first one");
    other.answer("second").await;
    second.expect(10);
    assert_eq!(source.runs(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted() {
    lost(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_while_its_owner_was_stopped() {
    lost(true).await;
}

/// What nobody of us can have written at a lease's key is written over, and waited for by nobody.
#[tokio::test]
async fn strangers_at_the_key_of_a_lease() {
    let server = RedisServer::start();
    // Who waited for one would wait for an hour.
    let hour = Duration::from_secs(3_600);
    let cache = patient(server.url()).lease_wait(hour).build().await.unwrap();
    let token = "0123456789abcdef0123456789abcdef";
    let strangers: [&[&str]; 8] = [
        &["SET", "KEY", "text"],
        &["SET", "KEY", ""],
        &["SET", "KEY", token],
        &["SET", "KEY", token, "EX", "1000"],
        &["SET", "KEY", "+", "PX", "50000"],
        &["SET", "KEY", "+99999999999999999999999999999999", "PX", "50000"],
        &["RPUSH", "KEY", "a", "list"],
        &["HSET", "KEY", "a", "hash"],
    ];
    for (number, stranger) in strangers.iter().enumerate() {
        let entry = cache.entry(format!("entry {number}"));
        let key = entry.key().await.unwrap().replacen(":v:", ":l:", 1);
        let command = stranger.iter().map(|word| if *word == "KEY" { key.as_str() } else { word });
        server.cli(&command.collect::<Vec<_>>());
        assert_eq!(entry.get_or_set_with(|| async { number }).await, number);
        assert_eq!(entry.get::<usize>().await.unwrap(), Some(number), "{stranger:?}");
    }
    assert_eq!(cache.stats().faults, 0);
}
