//! `rediss://`: real servers with certificates that are right, and with those that are not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fragkeys::{Config, ErrorKind, Outcome, Tag, Tls, observe, with_cache};
use fragkeys_tests::certificates::{Certificates, Flaw, Signed};
use fragkeys_tests::{Cluster, RedisServer, Sentinels};

use crate::support::{Log, Source, eventually, patient, row};

fn server(authority: &Certificates, flaw: Flaw, needs_client: bool) -> RedisServer {
    RedisServer::start_tls(authority, &authority.server(flaw), needs_client, &[])
}

fn shown(tls: Tls, client: &Signed) -> Tls {
    tls.client_cert_file(&client.certificate, &client.key)
}

/// A hit, and a bump that another cache sees.
async fn works(config: Config) {
    let cache = config.clone().build().await.unwrap();
    let other = config.build().await.unwrap();
    cache.invalidate(["Row:1"]).await.unwrap();
    let source = Source::default();
    for expected in [Outcome::Miss, Outcome::Hit, Outcome::Hit] {
        let (_, outcome) = with_cache(cache.clone(), observe(row(&source, 1))).await;
        assert_eq!(outcome, Some(expected));
    }
    other.invalidate(["Row:1"]).await.unwrap();
    let (_, outcome) = with_cache(cache, observe(row(&source, 1))).await;
    assert_eq!(outcome, Some(Outcome::Miss));
}

/// The call answers, the bump is an error that helps, and so is the log.
async fn fails(config: Config, hint: &str) {
    let log = Log::default();
    let listening = log.listen();
    let cache = config.build().await.unwrap();
    let source = Source::default();
    let (_, outcome) = with_cache(cache.clone(), observe(row(&source, 1))).await;
    assert_eq!((source.runs.load(Ordering::SeqCst), outcome), (1, Some(Outcome::Bypass)));
    let error = cache.invalidate(["Row:1"]).await.unwrap_err();
    drop(listening);
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains(hint), "{error} does not mention {hint}");
    let log = log.text();
    assert!(log.contains(hint) && !log.contains("PRIVATE"), "{log}");
}

#[tokio::test]
async fn a_server_with_a_certificate_of_our_own_authority() {
    let authority = Certificates::new();
    let server = server(&authority, Flaw::None, false);
    works(patient(server.tls_url()).tls(Tls::new().ca_file(authority.ca_file()))).await;
    works(patient(server.tls_url()).tls(Tls::new().ca_pem(authority.ca_pem()))).await;
    let by_name = server.tls_url().replace("127.0.0.1", "localhost");
    works(patient(by_name).tls(Tls::new().ca_pem(authority.ca_pem()))).await;
    let valkey = server.tls_url().replace("rediss", "valkeys");
    works(patient(valkey).tls(Tls::new().ca_pem(authority.ca_pem()))).await;
    // Another authority beside it does no harm.
    let two = Tls::new().ca_pem(Certificates::new().ca_pem()).ca_pem(authority.ca_pem());
    works(patient(server.tls_url()).tls(two)).await;
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate() {
    let authority = Certificates::new();
    let server = server(&authority, Flaw::None, true);
    let client = authority.client();
    let tls = || Tls::new().ca_file(authority.ca_file());
    works(patient(server.tls_url()).tls(shown(tls(), &client))).await;
    let read = |path| std::fs::read(path).unwrap();
    let by_text = tls().client_cert_pem(read(&client.certificate), read(&client.key));
    works(patient(server.tls_url()).tls(by_text)).await;
    fails(patient(server.tls_url()).tls(tls()), "client certificate").await;
}

#[tokio::test]
async fn a_client_certificate_of_a_stranger_is_not_accepted() {
    let authority = Certificates::new();
    let server = server(&authority, Flaw::None, true);
    let strangers = Certificates::new();
    let tls = shown(Tls::new().ca_file(authority.ca_file()), &strangers.client());
    fails(patient(server.tls_url()).tls(tls), "TLS").await;
}

#[tokio::test]
async fn a_server_that_is_not_to_be_trusted_says_why() {
    let authority = Certificates::new();
    let good = server(&authority, Flaw::None, false);
    let tls = || Tls::new().ca_file(authority.ca_file());
    let other_authority = Tls::new().ca_pem(Certificates::new().ca_pem());
    fails(patient(good.tls_url()).tls(other_authority), "`Tls::ca_file`").await;
    let expired = server(&authority, Flaw::Expired, false);
    fails(patient(expired.tls_url()).tls(tls()), "expired").await;
    let elsewhere = server(&authority, Flaw::OtherName, false);
    fails(patient(elsewhere.tls_url()).tls(tls()), "host name").await;
    // TLS to a port that does not speak it.
    let plain = good.url().replace("redis:", "rediss:");
    fails(patient(plain).tls(tls()), "`redis://`").await;
}

/// Nothing that is wrong with the settings waits for a connection.
#[tokio::test]
async fn a_mistake_in_the_settings_is_an_error_of_build() {
    let authority = Certificates::new();
    let (client, other) = (authority.client(), authority.client());
    let url = "rediss://:secret@127.0.0.1:1";
    let tls = || Tls::new().ca_file(authority.ca_file());
    let cases = [
        (Config::redis(url).tls(Tls::new().ca_file("/nowhere/ca.pem")), "/nowhere/ca.pem"),
        (Config::redis(url).tls(Tls::new().ca_pem("nonsense")), "authority"),
        (Config::redis(url).tls(Tls::new().ca_file(&client.key)), "authority"),
        (Config::redis(url).tls(tls().client_cert_file(&client.key, &client.key)), "certificate"),
        (
            Config::redis(url)
                .tls(tls().client_cert_file(&client.certificate, &client.certificate)),
            "private key",
        ),
        (Config::redis(url).tls(tls().client_cert_file(&client.certificate, &other.key)), "belong"),
        (Config::redis("redis://:secret@host").tls(tls()), "`rediss://`"),
        (Config::memory().tls(tls()), "`tls`"),
    ];
    for (config, hint) in cases {
        let error = config.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(hint), "{error} does not mention {hint}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn keys_are_not_printed() {
    let authority = Certificates::new();
    let client = authority.client();
    let key = std::fs::read_to_string(&client.key).unwrap();
    let tls = Tls::new().ca_pem(authority.ca_pem()).client_cert_pem("certificate", key.clone());
    let shown = format!("{tls:?} {:?}", Config::redis("rediss://host").tls(tls.clone()));
    let body = key.lines().nth(1).unwrap();
    assert!(!shown.contains(body) && !shown.contains("PRIVATE"), "{shown}");
}

/// Certificates are renewed by writing the files anew, while the program runs.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_again_at_each_connection() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::copy(old.ca_file(), &file).unwrap();
    let server = server(&new, Flaw::None, false);
    let cache = patient(server.tls_url()).tls(Tls::new().ca_file(&file)).build().await.unwrap();
    assert!(cache.invalidate(["T"]).await.is_err());
    std::fs::copy(new.ca_file(), &file).unwrap();
    eventually("the new authority is trusted", async || cache.invalidate(["T"]).await.is_ok())
        .await;
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let authority = Certificates::new();
    let server = server(&authority, Flaw::None, false);
    let cache = patient(server.tls_url())
        .tls(Tls::new().ca_file(authority.ca_file()))
        .build()
        .await
        .unwrap();
    let entry = cache.entry("x").tag("T");
    entry.set(&1).await.unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("it is found again", async || entry.get().await.is_ok_and(|one| one == Some(1)))
        .await;
}

/// Sentinels and servers, all of them by TLS alone.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_and_their_servers_by_tls() {
    let authority = Certificates::new();
    let started = Sentinels::start_tls(&authority);
    let urls = started.sentinels.iter().map(RedisServer::tls_url);
    let config = Config::redis_sentinel(urls, fragkeys_tests::sentinel::NAME)
        .operation_timeout(Duration::from_secs(10))
        .tls(Tls::new().ca_file(authority.ca_file()));
    works(config).await;
}

/// Six nodes, all of them by TLS alone; also the one that takes over.
#[tokio::test]
async fn a_cluster_by_tls() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let authority = Certificates::new();
    let mut cluster = Cluster::start_tls(&authority);
    let urls: Vec<String> = cluster.nodes.iter().map(RedisServer::tls_url).collect();
    let config = |tls| Config::redis_cluster(urls.clone()).operation_timeout(PATIENCE).tls(tls);
    let own = || Tls::new().ca_file(authority.ca_file());
    works(config(own())).await;

    let cache = config(own()).build().await.unwrap();
    let tags = || (0..100).map(|id| Tag::new("Row", id));
    cache.invalidate(tags()).await.unwrap();
    for master in &cluster.nodes[..3] {
        assert!(master.keys("fragkeys:t:*").len() > 10, "tags are with each master");
    }
    cluster.replaces_soon();
    cluster.nodes[1].kill();
    eventually("the replica is found", async || cache.invalidate(tags()).await.is_ok()).await;
    assert!(cluster.nodes[4].keys("fragkeys:t:*").len() > 10);

    let other = Tls::new().ca_pem(Certificates::new().ca_pem());
    fails(config(other), "`Tls::ca_file`").await;
}
