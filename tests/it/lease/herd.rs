//! Herds: as many runs as there are keys, whatever number of callers and processes.

use fragkeys_tests::RedisServer;

use super::{Herd, Source, leases};

const PROCESSES: usize = 4;
const CALLERS: usize = 10_000;

/// One herd at a time: each is more than a machine with two cores likes.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn processes(server: &RedisServer, source: &Source) -> Vec<Herd> {
    (0..PROCESSES).map(|_| Herd::start(server, source)).collect()
}

async fn call_in_all(herd: &mut [Herd], id: u64, misses: usize) {
    herd.iter_mut().for_each(|process| process.call(CALLERS, id));
    for process in herd {
        process.wait_for_misses(misses).await;
    }
}

/// 40,000 callers wait for one run. A bump meanwhile: those who come after it wait for another.
#[tokio::test(flavor = "multi_thread")]
async fn one_run_in_all_processes_and_one_more_behind_a_bump() {
    let _alone = ALONE.lock().await;
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = processes(&server, &source);
    call_in_all(&mut herd, 1, CALLERS).await;
    let before = source.next().await;
    assert_eq!(source.runs(), 1);
    herd[0].ask("invalidate 1");
    call_in_all(&mut herd, 1, 2 * CALLERS).await;
    let after = source.next().await;
    assert_eq!((before.id, after.id, source.runs()), (1, 1, 2));
    // The older one last, which must not be what those behind the bump get.
    after.answer("after").await;
    before.answer("before").await;
    for process in &mut herd {
        process.expect_values(2 * CALLERS, 2);
    }
    call_in_all(&mut herd, 1, 0).await;
    herd.iter_mut().for_each(|process| process.expect(CALLERS));
    assert_eq!(source.runs(), 2);
    crate::support::eventually("leases are let go of", async || leases(&server).is_empty()).await;
}

/// Nobody is held: some look before, some after the value is stored.
#[tokio::test(flavor = "multi_thread")]
async fn one_run_for_each_of_a_thousand_keys() {
    let _alone = ALONE.lock().await;
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let mut herd = processes(&server, &source);
    source.open();
    for round in 1..=3 {
        for process in &mut herd {
            assert_eq!(process.ask(&format!("call row {CALLERS} 0 1000")), "ok");
        }
        for process in &mut herd {
            process.expect_values(CALLERS, 1_000);
        }
        assert_eq!(source.runs(), 1_000 * round, "in round {round}");
        assert!(source.counts().iter().all(|runs| *runs == round));
        herd[0].ask("invalidate-all");
    }
}
