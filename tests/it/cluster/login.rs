//! What is accepted, what is refused and how clearly, and which nodes have to be there.

use std::time::{Duration, Instant};

use fragkeys::{Breaker, Config, ErrorKind, FragmentedKeys, Tag};
use fragkeys_tests::{Cluster, Proxy, RedisServer};

use super::{patient, read};
use crate::support::{Log, eventually};

#[tokio::test]
async fn what_cannot_work_is_an_error_of_build() {
    let cluster = |url: &str| Config::redis_cluster([url]);
    let cases = [
        (Config::redis_cluster([""; 0]).password("secret"), "no URL"),
        (cluster("redis://:secret@host/3"), "no database but 0"),
        (cluster("redis://:secret@host").database(3), "no database but 0"),
        (cluster("redis+unix:///tmp/secret.sock"), "sockets"),
        (cluster("secret"), "redis://"),
        (cluster("redis://:secret@host").also_bump(FragmentedKeys::plain("p")), "`also_bump`"),
    ];
    for (config, hint) in cases {
        let shown = format!("{config:?}");
        let error = config.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(hint), "{error} does not mention {hint}");
        assert!(!format!("{shown}{error:?}").contains("secret"), "{shown} {error:?}");
    }
}

#[tokio::test]
async fn what_is_no_cluster_says_so() {
    let single = RedisServer::start();
    let empty = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let cluster = Cluster::start();
    let cases = [
        (Config::redis_cluster([single.url()]), "`Config::redis`"),
        (Config::redis_cluster([empty.url()]), "is the cluster set up?"),
        (Config::redis_cluster(["redis://:hunter2@127.0.0.1:1"]), "cannot be reached"),
        (patient(&cluster).password("hunter2"), "credentials"),
    ];
    for (config, hint) in cases {
        let log = Log::default();
        let listening = log.listen();
        let cache = config.operation_timeout(Duration::from_secs(10)).build().await.unwrap();
        let error = cache.invalidate(["T"]).await.unwrap_err();
        assert!(error.to_string().contains(hint), "{error} does not mention {hint}");
        assert!(!read(&cache, 1).await && !read(&cache, 1).await);
        drop(listening);
        let shown = format!("{}{error:?}{cache:?}", log.text());
        assert!(shown.contains(hint) && !shown.contains("hunter2"), "{shown}");
    }
    // The other way round. The slot of a tag may be with the very node, so several.
    let one = Config::redis(cluster.nodes[0].url()).build().await.unwrap();
    let error = one.invalidate(["A", "B", "C", "D", "E"]).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("redis_cluster") || text.contains("cluster"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_that_answers_is_enough() {
    let mut cluster = Cluster::start();
    let dead = ["redis://127.0.0.1:1".to_owned(), "redis://127.0.0.1:2".to_owned()];
    // A replica knows the masters as well.
    let urls = dead.into_iter().chain([cluster.nodes[4].url()]);
    let cache = Config::redis_cluster(urls).operation_timeout(Duration::from_secs(10));
    let cache = cache.build().await.unwrap();
    cache.invalidate(["T"]).await.unwrap();
    for id in 0..20 {
        read(&cache, id).await;
        assert!(read(&cache, id).await);
    }
    // And it may go, once the others are known.
    cluster.nodes[4].kill();
    cache.invalidate(["T"]).await.unwrap();
}

/// Down at the start, as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_comes_later() {
    let cluster = Cluster::start();
    cluster.nodes.iter().for_each(RedisServer::pause);
    let cache = Config::redis_cluster(cluster.urls()).build().await.unwrap();
    assert!(!read(&cache, 1).await);
    assert!(cache.invalidate(["T"]).await.is_err());
    assert_eq!(cache.queued_bumps(), 1);
    cluster.nodes.iter().for_each(RedisServer::resume);
    eventually("a hit", async || read(&cache, 1).await).await;
    eventually("the bump goes through", async || cache.queued_bumps() == 0).await;
}

/// I5: nodes that accept and say nothing. As with one server, all calls together wait once; and it
/// can be seen why.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_cluster_that_says_nothing_costs_one_deadline() {
    let server = RedisServer::start();
    let nodes = [Proxy::to(server.port()), Proxy::to(server.port())];
    nodes.iter().for_each(Proxy::black_hole);
    let patience = Duration::from_secs(1);
    let config = Config::redis_cluster(nodes.iter().map(Proxy::url)).operation_timeout(patience);
    let cache = config.build().await.unwrap();
    let began = Instant::now();
    for _ in 0..20 {
        assert!(!read(&cache, 1).await);
    }
    assert!(cache.invalidate(["T"]).await.is_err());
    let took = began.elapsed();
    assert!(took < 4 * patience, "20 calls took {took:?}");
    let health = cache.health();
    assert!(!health.is_reachable && health.breaker > Breaker::Closed, "{health}");
    assert!(health.last_error.as_ref().is_some_and(|error| error.contains("in time")), "{health}");
}

/// Who asked for the map first is a runtime that does nothing any more.
#[test]
fn a_runtime_that_stands_still_keeps_the_map_from_nobody() {
    let cluster = Cluster::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (still, other) = (runtime(), runtime());
    let cache = still.block_on(patient(&cluster).build()).unwrap();
    other.block_on(async { eventually("a hit", async || read(&cache, 1).await).await });
}

/// What is wrong is told of the master that is away, and not of one that was.
#[tokio::test(flavor = "multi_thread")]
async fn health_tells_of_the_master_that_is_away() {
    let cluster = Cluster::start();
    for node in &cluster.nodes {
        // No replica takes over.
        node.cli(&["CONFIG", "SET", "cluster-node-timeout", "60000"]);
    }
    let config = Config::redis_cluster(cluster.urls());
    let cache = config.operation_timeout(Duration::from_millis(250)).build().await.unwrap();
    eventually("a hit", async || read(&cache, 1).await).await;
    for index in 0..3 {
        let stands_there =
            |id: &u64| cluster.owner(cluster.slot(&format!("fragkeys:t:Row:{id}")), index) == index;
        let tag = Tag::new("Row", (0..).find(stands_there).unwrap());
        cluster.nodes[index].pause();
        assert!(cache.invalidate([tag]).await.is_err());
        assert!(!cache.health().is_reachable, "{}", cache.health());
        let port = cluster.nodes[index].port().to_string();
        eventually("it is told of this one", async || {
            cache.health().last_error.is_some_and(|error| error.contains(&port))
        })
        .await;
        cluster.nodes[index].resume();
        eventually("it is back", async || cache.queued_bumps() == 0 && cache.health().is_reachable)
            .await;
    }
}

/// The least that a user must be allowed.
#[tokio::test(flavor = "multi_thread")]
async fn an_acl_user_with_few_permissions() {
    let cluster = Cluster::start();
    let rules = [
        "on",
        ">pw",
        "~fragkeys:*",
        "-@all",
        "+get",
        "+set",
        "+mget",
        "+del",
        "+incr",
        "+pexpire",
        "+time",
        "+eval",
        "+evalsha",
        "+ping",
        "+cluster|slots",
        "+asking",
    ];
    for node in &cluster.nodes {
        node.cli(&[&["ACL", "SETUSER", "least"], rules.as_slice()].concat());
    }
    let cache = patient(&cluster).username("least").password("pw").build().await.unwrap();
    for id in 0..20 {
        read(&cache, id).await;
        assert!(read(&cache, id).await);
    }
    cache.invalidate_all().await.unwrap();
    for node in &cluster.nodes {
        node.cli(&["ACL", "SETUSER", "least", "-cluster|slots"]);
    }
    let late = patient(&cluster).username("least").password("pw").build().await.unwrap();
    let error = late.invalidate(["T"]).await.unwrap_err();
    assert!(error.to_string().contains("CLUSTER SLOTS"), "{error}");
}
