//! However the run of one process ends, those who wait for it in others get an answer.

use fragkeys_tests::RedisServer;

use super::{Collected, Herd, Source, leases};
use crate::support::eventually;

/// The first one runs, with so many callers; the others wait.
async fn start(
    server: &RedisServer,
    source: &Source,
    processes: usize,
    callers: usize,
) -> Vec<Herd> {
    let herd = (0..processes).map(|_| Herd::start(server, source)).collect();
    call_in_all(herd, source, callers).await
}

/// The same with leases that end soon where nobody renews them.
async fn start_mortal(
    server: &RedisServer,
    source: &Source,
    processes: usize,
    callers: usize,
) -> Vec<Herd> {
    let herd = (0..processes).map(|_| Herd::start_mortal(server, source)).collect();
    call_in_all(herd, source, callers).await
}

async fn call_in_all(mut herd: Vec<Herd>, source: &Source, callers: usize) -> Vec<Herd> {
    for (at, process) in herd.iter_mut().enumerate() {
        process.call(callers, 1);
        process.wait_for_misses(callers).await;
        if at == 0 {
            eventually("the first one runs", async || source.runs() == 1).await;
        }
    }
    herd
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_who_is_killed_is_replaced_within_a_second() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start_mortal(&server, &source, 3, 100).await;
    let first = source.next().await;
    herd[0].0.kill();
    // By Redis's clock; who waits asks again when that time is over.
    for key in leases(&server) {
        let left: i64 = server.cli(&["PTTL", &key]).trim().parse().unwrap();
        assert!(left <= 750, "{left} ms");
    }
    let second = source.next().await;
    second.answer("value").await;
    herd[1].expect(100);
    herd[2].expect(100);
    assert_eq!(source.runs(), 2);
    first.answer("too late").await;
}

/// At once, and not when the lease has run out.
#[tokio::test(flavor = "multi_thread")]
async fn i8_who_is_dropped_is_replaced() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 2, 10).await;
    let _first = source.next().await;
    assert_eq!(herd[0].ask("drop"), "ok");
    source.next().await.answer("value").await;
    herd[1].expect(10);
    assert_eq!(source.runs(), 2);
}

/// Who is dropped while it waits for a lease leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn i8_who_waits_may_be_dropped() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 3, 10).await;
    assert_eq!(herd[1].ask("drop"), "ok");
    source.next().await.answer("value").await;
    herd[0].expect(10);
    herd[2].expect(10);
    herd[1].call(10, 1);
    herd[1].expect(10);
    assert_eq!(source.runs(), 1);
    eventually("the lease is let go of", async || leases(&server).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_its_own_callers() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 2, 10).await;
    source.next().await.answer("panic").await;
    source.next().await.answer("value").await;
    let Collected { answers, panics, .. } = herd[0].collect();
    assert_eq!((answers, panics), (9, 1));
    herd[1].expect(10);
    assert_eq!(source.runs(), 2);
}

/// Behind an `Err`, two others run at once, in whichever processes they are.
#[tokio::test(flavor = "multi_thread")]
async fn behind_an_err_two_run() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 3, 10).await;
    source.next().await.answer("err").await;
    let (second, third) = (source.next().await, source.next().await);
    // Both at once, and nobody beside them.
    let key = &leases(&server)[0];
    assert_eq!(server.get_raw(key).as_deref(), Some(&b"+0"[..]));
    second.answer("err").await;
    source.next().await.answer("value").await;
    source.next().await.answer("value").await;
    third.answer("value").await;
    let collected: Vec<_> = herd.iter_mut().map(Herd::collect).collect();
    assert_eq!(collected.iter().map(|them| them.errors).sum::<usize>(), 2);
    assert!(collected.iter().all(|them| them.answers == 10 && them.panics == 0));
    assert_eq!(source.runs(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_an_error_of_its_own() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 4, 50).await;
    for _ in 0..200 {
        source.next().await.answer("err").await;
    }
    for process in &mut herd {
        assert_eq!(process.collect().errors, 50);
    }
    assert_eq!(source.runs(), 200);
}

/// What `cache_if` refuses never comes into the store, so nobody waits for it there; in each
/// process it is shared all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_what_is_not_stored_runs() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start(&server, &source, 4, 10).await;
    source.next().await.answer("unshared").await;
    // At once: none of them is answered before all have begun.
    let runs = [source.next().await, source.next().await, source.next().await];
    for run in runs {
        run.answer("unshared").await;
    }
    herd.iter_mut().for_each(|process| process.expect(10));
    assert_eq!(source.runs(), 4);
}

/// As long as it runs, it renews.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_runs_beside_a_slow_run() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = start_mortal(&server, &source, 2, 10).await;
    // Three of them are the time that a lease lives.
    eventually("it renews", async || server.command_calls("pexpire") > 8).await;
    assert_eq!(source.runs(), 1);
    source.next().await.answer("value").await;
    herd.iter_mut().for_each(|process| process.expect(10));
    assert_eq!(source.runs(), 1);
}

/// Nobody waits for longer than `lease_wait`.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_for_long_enough_runs() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut patient = Herd::start(&server, &source);
    let envs = [("FRAGKEYS_URL", server.url()), ("HERD_LEASE_WAIT", "300".to_owned())];
    let envs = envs.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut impatient = Herd::start_with(&source, &envs);
    patient.call(10, 1);
    let slow = source.next().await;
    impatient.call(10, 1);
    source.next().await.answer("value").await;
    impatient.expect(10);
    slow.answer("value").await;
    patient.expect(10);
    assert_eq!(source.runs(), 2);
}
