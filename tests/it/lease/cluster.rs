//! In a cluster, a lease stands in the slot of its entry, and who waits asks.

use fragkeys_tests::Cluster;

use super::{Herd, Source};

#[tokio::test(flavor = "multi_thread")]
async fn one_run_in_all_processes_and_another_where_one_is_killed() {
    let cluster = Cluster::start();
    let urls = cluster.urls().join(",");
    let mut source = Source::start().await;
    let mut herd: Vec<_> = (0..3)
        .map(|_| {
            Herd::start_with(&source, &[("HERD_CLUSTER", &urls), ("HERD_LEASE_TIMEOUT", "3000")])
        })
        .collect();
    for process in &mut herd {
        assert_eq!(process.ask("call row 1000 0 20"), "ok");
    }
    for _ in 0..20 {
        source.next().await.answer("value").await;
    }
    herd.iter_mut().for_each(|process| process.expect(1000));
    assert_eq!(source.counts(), [1; 20]);

    herd[0].call(10, 100);
    let first = source.next().await;
    for process in &mut herd[1..] {
        let before = process.misses();
        process.call(10, 100);
        process.wait_for_misses(before + 10).await;
    }
    herd[0].0.kill();
    source.next().await.answer("value").await;
    herd[1].expect(10);
    herd[2].expect(10);
    assert_eq!(source.runs(), 22);
    first.answer("too late").await;
}
