//! PostgreSQL with TLS.

use std::fs;

use fragkeys::Tag;
use fragkeys_postgres::Relay;
use fragkeys_tests::certificates::{Certificates, Flaw};
use fragkeys_tests::{PostgresServer, RedisServer};

use crate::support::{Running, bump_all, bumped, cache};

/// A server that speaks TLS, with this certificate, and refuses whoever does not.
fn server(certificates: &Certificates, flaw: Flaw) -> PostgresServer {
    let mut server = PostgresServer::start();
    let signed = certificates.server(flaw);
    let [certificate, key] =
        [(signed.certificate, "server.crt"), (signed.key, "server.key")].map(|(from, name)| {
            let to = server.directory().join(name);
            fs::copy(from, &to).unwrap();
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).unwrap();
            server.own(&to);
            to.display().to_string()
        });
    server.psql(&format!(
        "ALTER SYSTEM SET ssl_cert_file = '{certificate}';
         ALTER SYSTEM SET ssl_key_file = '{key}'; ALTER SYSTEM SET ssl = on;"
    ));
    let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.directory().join("data/pg_hba.conf"), rules).unwrap();
    server.restart();
    server.psql(&fragkeys_postgres::Outbox::new().create_sql().unwrap());
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_come_over_tls_from_a_server_that_is_the_right_one() {
    let certificates = Certificates::new();
    let (server, redis) = (server(&certificates, Flaw::None), RedisServer::start());
    let cache = cache(&redis).await;
    let tag = Tag::global("Dashboard");
    let before = bump_all(&cache, std::slice::from_ref(&tag)).await;
    let url = format!("{}?sslmode=require", server.url());
    let relay = Relay::new(&url, cache.clone()).unwrap().authority(certificates.ca_pem());
    let _running = Running::start(relay);
    server.psql("SELECT fragkeys.bump('Dashboard')");
    bumped(&redis, &tag, &before).await;
    let used = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                WHERE ssl AND application_name = 'fragkeys-postgres'";
    assert_eq!(server.psql(used), "1");

    // Of an authority that it was not told of, it takes nothing.
    let stranger = Certificates::new();
    let relay = Relay::new(&url, cache).unwrap().authority(stranger.ca_pem());
    let health = relay.health();
    let error = relay.run().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(!health.is_connected());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_refused() {
    let certificates = Certificates::new();
    let server = server(&certificates, Flaw::OtherName);
    let cache = fragkeys::Config::memory().build().await.unwrap();
    let relay = Relay::new(&server.url(), cache).unwrap().authority(certificates.ca_pem());
    let error = relay.run().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
