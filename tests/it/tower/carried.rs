//! What a response carries, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::HeaderValue;
use fragkeys::{bumps_in, guard, note_bumps, on_commit};
use fragkeys_tests::Proxy;
use fragkeys_tests::wait::DEADLINE;

use super::*;
use crate::support::{cache_without_leases, memory_cache};

async fn process(cache: Cache) -> Process {
    Process { cache, database: Arc::default() }
}

#[tokio::test]
async fn a_cookie_says_what_was_bumped() {
    let process = process(memory_cache().await).await;
    let plain = app(&process, ReadYourWritesLayer::new());
    let written = ask(&plain, "POST", "/1", &[]).await;
    assert_eq!(
        bumped(&written).iter().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>(),
        ["Row:1"]
    );
    let version = process.cache.tag_version(&Tag::new("Row", 1)).await.unwrap();
    assert_eq!(bumped(&written).version(&Tag::new("Row", 1)), Some(version));
    let (_, attributes) = cookie(&written).unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=300; HttpOnly; SameSite=Lax");
    // Who bumps nothing is told nothing.
    assert!(cookie(&ask(&plain, "GET", "/1", &[]).await).is_none());
    let (sent_back, _) = cookie(&written).unwrap();
    assert!(cookie(&ask(&plain, "GET", "/1", &[("cookie", &sent_back)]).await).is_none());
    // What is bumped is added, and comes first.
    let more = ask(&plain, "POST", "/0", &[("cookie", &sent_back)]).await;
    assert_eq!(
        bumped(&more).iter().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>(),
        ["Row:0", "Row:1"]
    );
    assert_eq!(bumped(&more).version(&Tag::new("Row", 1)), Some(version));
    // Also where it stands among what is no text.
    let mut request = Request::post("/1").body(Body::empty()).unwrap();
    let among = [b"a=\xfc;", cookie(&more).unwrap().0.as_bytes(), b"; \xff"].concat();
    request.headers_mut().insert("cookie", HeaderValue::from_bytes(&among).unwrap());
    let again = plain.clone().oneshot(request).await.unwrap();
    assert_eq!(bumped(&again).len(), 2);
    assert!(bumped(&again).version(&Tag::new("Row", 1)) > Some(version));

    let layer = ReadYourWritesLayer::new().secure(true).cookie("__Host-seen").unwrap();
    let chosen = app(&process, layer.max_age(Duration::from_secs(1_000_000)));
    let (pair, attributes) = cookie(&ask(&chosen, "POST", "/1", &[]).await).unwrap();
    assert!(pair.starts_with("__Host-seen="), "{pair}");
    assert_eq!(attributes, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure");
    for bad in ["", "a b", "a;b", "a=b", "\u{fc}", "a\r\nSet-Cookie: b"] {
        let error = ReadYourWritesLayer::new().cookie(bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{bad}");
    }
}

#[tokio::test]
async fn a_header_takes_the_place_of_a_cookie() {
    let process = process(memory_cache().await).await;
    let layer = ReadYourWritesLayer::new().header("x-seen".parse().unwrap());
    let app = app(&process, layer.max_age(Duration::from_secs(60)));
    let written = ask(&app, "POST", "/1", &[]).await;
    assert!(cookie(&written).is_none());
    let token = written.headers()["x-seen"].to_str().unwrap().to_owned();
    assert_eq!(token.parse::<Bumped>().unwrap().len(), 1);
    assert!(ask(&app, "GET", "/1", &[]).await.headers().get("x-seen").is_none());
    // A client that never forgets: what is older than a minute is minded by all.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let (old, young) = (now - 61_000_000_000, now - 30_000_000_000);
    let seen = format!("{old}.Old~{young}.Young");
    let more =
        ask(&app, "POST", "/0", &[("x-seen", &seen), ("x-seen", &token), ("x-seen", "?")]).await;
    let token: Bumped = more.headers()["x-seen"].to_str().unwrap().parse().unwrap();
    let tags: Vec<String> = token.iter().map(|(tag, _)| tag.to_string()).collect();
    assert_eq!(tags, ["Row:0", "Young", "Row:1"]);
}

/// More than a cookie can name: then the near tier is left out for who wrote it.
#[tokio::test]
async fn ten_thousand_tags_make_a_short_cookie() {
    async fn write_all(State(process): State<Process>) {
        let tags = (0..10_001).map(|id| Tag::new("Much", id));
        process.cache.invalidate(tags).await.unwrap();
    }
    let server = RedisServer::start();
    let process = process(near(&server).await).await;
    let router = Router::new().route("/", post(write_all)).route("/{id}", get(read));
    let app = router.layer(ReadYourWritesLayer::new()).with_state(process.clone());
    let written = ask(&app, "POST", "/", &[]).await;
    let header = written.headers()["set-cookie"].to_str().unwrap();
    assert!(header.len() < 1_200, "{header}");
    let (sent_back, _) = cookie(&written).unwrap();
    assert!(sent_back.ends_with("~*"), "{sent_back}");
    eventually("the near tier answers", async || {
        let before = process.cache.stats().near_hits;
        text(ask(&app, "GET", "/1", &[]).await).await;
        process.cache.stats().near_hits > before
    })
    .await;
    let before = process.cache.stats().near_hits;
    for _ in 0..3 {
        let answer = ask(&app, "GET", "/1", &[("cookie", &sent_back)]).await;
        assert_eq!(text(answer).await, "0 hit");
    }
    assert_eq!(process.cache.stats().near_hits, before);
    text(ask(&app, "GET", "/1", &[]).await).await;
    assert_eq!(process.cache.stats().near_hits, before + 1);
}

/// The bump is queued. Its writer reads what was written, wherever, though Redis does not know yet.
#[tokio::test]
async fn a_bump_that_failed_is_minded_too() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cut_off = process(patient(proxy.url()).build().await.unwrap()).await;
    let other = Process { cache: redis_cache(&server).await, ..cut_off.clone() };
    let (first, second) =
        (app(&cut_off, ReadYourWritesLayer::new()), app(&other, ReadYourWritesLayer::new()));
    text(ask(&second, "GET", "/1", &[]).await).await;
    text(ask(&first, "GET", "/1", &[]).await).await;
    proxy.refuse();
    let written = ask(&first, "POST", "/1", &[]).await;
    assert_eq!(written.status(), StatusCode::ACCEPTED);
    let (sent_back, _) = cookie(&written).unwrap();
    let headers = [("cookie", sent_back.as_str())];
    assert_eq!(
        text(ask(&second, "GET", "/1", &[]).await).await,
        "0 hit",
        "or it would show nothing"
    );
    assert_eq!(text(ask(&second, "GET", "/1", &headers).await).await, "1 bypass");
    proxy.pass();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while text(ask(&second, "GET", "/1", &headers).await).await != "1 hit" {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn told(bumped: &Bumped) -> Vec<String> {
    let mut tags: Vec<String> = bumped.iter().map(|(tag, _)| tag.to_string()).collect();
    tags.sort();
    tags
}

#[tokio::test]
async fn all_that_is_bumped_is_told() {
    let cache = memory_cache().await;
    let inner = cache.clone();
    let ((), bumped) = with_cache(
        cache.clone(),
        bumps_in(async {
            inner.invalidate(["A"]).await.unwrap();
            let ((), nested) =
                bumps_in(async { inner.invalidate(["B"]).await.map(drop).unwrap() }).await;
            assert_eq!(told(&nested), ["B"]);
            let committed = on_commit(async {
                assert!(inner.invalidate(["C"]).await.unwrap().is_empty(), "it is held");
                Ok::<_, ()>(())
            });
            committed.await.unwrap();
            let rolled_back = on_commit(async {
                inner.invalidate(["Nothing"]).await.unwrap();
                Err::<(), ()>(())
            });
            rolled_back.await.unwrap_err();
            guard(["D"], async {}).await;
            let spawned = inner.clone();
            let elsewhere = tokio::spawn(async move { spawned.invalidate(["E"]).await.unwrap() });
            note_bumps(&elsewhere.await.unwrap());
            inner.invalidate(["A"]).await.unwrap();
        }),
    )
    .await;
    assert_eq!(told(&bumped), ["A", "B", "C", "D", "E"]);
    for (tag, version) in &bumped {
        assert_eq!(cache.tag_version(tag).await.unwrap(), *version, "{tag}");
    }
    // Told first by a task, and then bumped again here.
    let ((), twice) = bumps_in(with_cache(cache.clone(), async {
        note_bumps(&inner.invalidate(["A"]).await.unwrap());
        inner.invalidate(["A"]).await.unwrap();
    }))
    .await;
    let last = cache.tag_version(&Tag::from("A")).await.unwrap();
    assert_eq!(twice.version(&Tag::from("A")), Some(last));
    let ((), nothing) = bumps_in(async {}).await;
    assert!(nothing.is_empty() && nothing.to_string().is_empty());
}

/// Counted by the server, which tells no changes here: each call would ask for its versions.
#[tokio::test]
async fn fifty_calls_of_one_request_read_their_versions_once() {
    #[tagged_cache(tags = ["User:7", "Dashboard"], vary_on = [id])]
    async fn widget(id: u64) -> u64 {
        id
    }
    async fn page(State(process): State<Process>) -> String {
        with_cache(process.cache, async {
            let mut hits = 0;
            for id in 0..50 {
                hits += u32::from(observe(widget(id)).await.1 == Some(Outcome::Hit));
            }
            hits.to_string()
        })
        .await
    }
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let process = process(cache_without_leases(&server).await).await;
    let plain = Router::new().route("/", get(page)).with_state(process);
    let app = plain.clone().layer(SnapshotLayer::new());
    let counts = || ["mget", "get"].map(|name| server.command_calls(name));
    text(ask(&plain, "GET", "/", &[]).await).await;
    server.reset_stats();
    assert_eq!(text(ask(&plain, "GET", "/", &[]).await).await, "50");
    assert_eq!(counts(), [50, 50], "or it would show nothing");
    for _ in 0..2 {
        server.reset_stats();
        assert_eq!(text(ask(&app, "GET", "/", &[]).await).await, "50");
        assert_eq!(counts(), [1, 50], "each request once");
    }
}
