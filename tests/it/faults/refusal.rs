//! Servers that answer, and refuse.

use fragkeys::{Breaker, Config, ErrorKind, Outcome, Tag};
use fragkeys_tests::{Proxy, RedisServer, RespClient};

use super::{PATIENCE, SILENT, cache_at, call, recovers, refuses, refuses_bumps};
use crate::support::{Source, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let source = Source::default();
    // What is there is still read; what is not there is computed and given, if not stored.
    let (value, outcome) = call(&cache, &source).await;
    assert_eq!((value.as_str(), outcome), ("row 1, run 1", Outcome::Hit));
    for old in server.keys("fragkeys:v:*") {
        server.cli(&["DEL", &old]);
    }
    assert_eq!(call(&cache, &source).await, ("row 1, run 0".to_owned(), Outcome::Bypass));
    refuses_bumps(&cache, &[ErrorKind::Refused]).await;
    assert!(cache.health().last_error.unwrap().contains("maxmemory"));
    // The entry may be outdated now, so it is left alone, though Redis would give it.
    assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_replica() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    refuses_bumps(&cache, &[ErrorKind::Refused]).await;
    assert!(cache.health().last_error.unwrap().contains("replica"));
    // Its name may lead to another server by now.
    let connections = proxy.accepted();
    eventually("it connects again", async || {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
        proxy.accepted() > connections
    })
    .await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}

/// Of a user who has no password, and of one whose password was taken away while connected.
#[tokio::test(flavor = "multi_thread")]
async fn password_wanted() {
    let server = RedisServer::start();
    let before = cache_at(server.url()).await;
    recovers(&before).await;
    server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    refuses(&cache_at(server.url()).await, "credentials").await;
    // Who is logged in stays so.
    recovers(&before).await;
    let right = cache_at(server.url().replace("redis://", "redis://:hunter2@")).await;
    recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn password_wrong() {
    let server = RedisServer::start();
    server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let cache = cache_at(server.url().replace("redis://", "redis://:hunter3@")).await;
    refuses(&cache, "credentials").await;
    let shown = format!("{cache:?} {} {:?}", cache.health(), cache.health());
    assert!(!shown.contains("hunter"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_missing() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    let allow = |rules: &[&str]| server.cli(&[&["ACL", "SETUSER", "default"], rules].concat());
    allow(&["-set", "-evalsha", "-eval"]);
    refuses_bumps(&cache, &[ErrorKind::Refused]).await;
    assert!(cache.health().last_error.unwrap().contains("permission"));
    allow(&["+@all", "-get", "-mget"]);
    let source = Source::default();
    for run in 0..3 {
        assert_eq!(call(&cache, &source).await, (format!("row 1, run {run}"), Outcome::Bypass));
    }
    allow(&["+@all"]);
    recovers(&cache).await;
}

/// Scripts are gone after a restart or `SCRIPT FLUSH`: loaded again, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn scripts_forgotten() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    cache.invalidate(["T"]).await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    cache.invalidate(["T"]).await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    cache.tag_version(&"fresh".into()).await.unwrap();
    assert_eq!(cache.stats().faults, 0);
    server.restart();
    recovers(&cache).await;
}

/// A server that reads in its data answers nothing: it counts as away until it has.
#[tokio::test(flavor = "multi_thread")]
async fn loading() {
    let slowly = ["--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"];
    let mut server = RedisServer::start_with(&slowly);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    // Two seconds' worth.
    server.cli(&["EVAL", "for i = 1, 4000 do redis.call('SET', 'filler:' .. i, 'x') end", "0"]);
    server.cli(&["SAVE"]);
    server.restart();
    assert!(server.cli(&["INFO", "persistence"]).contains("loading:1"), "or this shows nothing");
    refuses(&cache, "loading").await;
    assert_ne!(cache.health().breaker, Breaker::Closed, "{}", cache.health());
    recovers(&cache).await;
}

/// A script of somebody else that does not end.
#[tokio::test(flavor = "multi_thread")]
async fn busy_with_a_script() {
    let server = RedisServer::start_with(&["--lua-time-limit", "20"]);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    let port = server.port();
    let script = std::thread::spawn(move || {
        RespClient::connect(port).unwrap().command(&[b"EVAL", b"while true do end", b"0"])
    });
    eventually("the server is busy", async || {
        server.command(&[b"GET", b"x"]).to_text().contains("BUSY")
    })
    .await;
    refuses(&cache, "SCRIPT KILL").await;
    server.cli(&["SCRIPT", "KILL"]);
    assert!(script.join().unwrap().unwrap().to_text().contains("ERR"));
    recovers(&cache).await;
}

/// It cannot save to disk, and therefore refuses to write.
#[tokio::test(flavor = "multi_thread")]
async fn cannot_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap().to_owned();
    let server = RedisServer::start_with(&["--dir", &path, "--save", "3600 1000000"]);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    folder.close().unwrap();
    server.cli(&["BGSAVE"]);
    eventually("saving fails", async || {
        server.cli(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err")
    })
    .await;
    refuses_bumps(&cache, &[ErrorKind::Refused]).await;
    assert!(cache.health().last_error.unwrap().contains("save to disk"));
    server.cli(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]);
    recovers(&cache).await;
}

const CLUSTER: [&str; 2] = ["--cluster-enabled", "yes"];
const HINT: &str = "part of a cluster";

#[tokio::test(flavor = "multi_thread")]
async fn cluster_down() {
    let server = RedisServer::start_with(&CLUSTER);
    refuses(&cache_at(server.url()).await, "it is not whole").await;
}

/// Two masters, of which the second has all slots; and a cache that knows the first alone, with
/// all of its tags in one slot.
async fn two_masters() -> (RedisServer, RedisServer, fragkeys::Cache) {
    let (first, second) = (RedisServer::start_with(&CLUSTER), RedisServer::start_with(&CLUSTER));
    second.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    first.cli(&["CLUSTER", "MEET", "127.0.0.1", &second.port().to_string()]);
    eventually("the masters know each other", async || {
        let knows =
            |server: &RedisServer| server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        knows(&first) && knows(&second)
    })
    .await;
    let config = Config::redis(first.url()).prefix("{one slot}").operation_timeout(PATIENCE);
    let cache = config.build().await.unwrap();
    (first, second, cache)
}

#[tokio::test(flavor = "multi_thread")]
async fn moved() {
    let (_first, _second, cache) = two_masters().await;
    refuses(&cache, HINT).await;
}

/// A slot that is on its way to another master: what is not here is asked for there.
#[tokio::test(flavor = "multi_thread")]
async fn asked_elsewhere() {
    let (first, second, _) = two_masters().await;
    let slot = second.cli(&["CLUSTER", "KEYSLOT", "{one slot}"]);
    let target = first.cli(&["CLUSTER", "MYID"]);
    second.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    let config = Config::redis(second.url()).prefix("{one slot}").operation_timeout(PATIENCE);
    refuses(&config.build().await.unwrap(), HINT).await;
}

/// A replica without its master, which is told to give no old answers.
#[tokio::test(flavor = "multi_thread")]
async fn master_lost() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let kinds = [ErrorKind::Refused, SILENT[0], SILENT[1]];
    super::answers_uncached(&cache, &kinds).await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}
