//! Two servers on one Redis, and a client that goes from one to the other.

use super::*;

/// A client of two processes, as a browser without a memory of its own.
struct Client(ureq::Agent);

impl Client {
    fn new() -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(LONG)).proxy(None);
        Client(config.build().new_agent())
    }

    fn get(&self, url: &str, cookie: Option<&str>) -> String {
        let request = self.0.get(url);
        let request = match cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        request.call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// The cookie that it is given.
    fn post(&self, url: &str) -> String {
        let response = self.0.post(url).send_empty().unwrap();
        let cookie = response.headers().get("set-cookie").unwrap().to_str().unwrap();
        cookie.split_once(';').unwrap().0.to_owned()
    }
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    format!("http://{address}")
}

/// The runtime that Redis tells of the bump stands still, so the second process's near tier is late for as
/// long as it is believed: ten minutes. Only the cookie makes it ask.
#[test]
fn who_wrote_reads_it_back_from_another_process() {
    let server = RedisServer::start();
    let still = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let serving =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let database = Arc::new(Database::default());
    let mut first = worker_with(&server, "tower");
    let second = Process { cache: still.block_on(near(&server)), database: database.clone() };
    let is_near = async || {
        let before = second.cache.stats().near_hits;
        with_cache(second.cache.clone(), row(&second.database, 1)).await;
        second.cache.stats().near_hits > before
    };
    still.block_on(eventually("the near tier answers", is_near));
    // What Redis tells of that has come when it answers this.
    still.block_on(second.cache.tag_version(&Tag::new("Row", 1))).unwrap();
    still.block_on(eventually("the near tier answers", is_near));
    let layer = ReadYourWritesLayer::new();
    let first = support::ask(&mut first, "serve") + "/1";
    let second = serving.block_on(serve(app(&second, layer))) + "/1";
    let client = Client::new();
    assert_eq!(client.get(&second, None), "0 hit");

    database.0[1].fetch_add(1, Ordering::SeqCst);
    let cookie = client.post(&first);
    assert_eq!(client.get(&second, None), "0 hit", "or it would show nothing");
    assert_eq!(client.get(&second, Some(&cookie)), "1 miss");
    assert_eq!(client.get(&second, Some(&format!("a=b; {cookie};c=d"))), "1 hit");
    // What is none is none.
    for garbage in
        ["fragkeys-bumped=", "fragkeys-bumped=x", "fragkeys-bumped", "=", "fragkeys-bumped=1.Row:1"]
    {
        assert_eq!(client.get(&second, Some(garbage)), "0 hit", "{garbage}");
    }
    assert_eq!(
        client.get(&second, Some(&format!("fragkeys-bumped={}", "9".repeat(5_000)))),
        "0 hit"
    );
    // A forged one costs who forged it a run, and nobody else.
    let version: u64 = cookie.split(['=', '.']).nth(1).unwrap().parse().unwrap();
    let forged = format!("fragkeys-bumped={}.Row:1", version + 3_600_000_000_000);
    for _ in 0..2 {
        assert_eq!(client.get(&second, Some(&forged)), "1 bypass");
        assert_eq!(client.get(&second, None), "0 hit");
    }
    // One that another site has put there takes nothing away.
    let both = format!("fragkeys-bumped={}.Other; {cookie}; fragkeys-bumped=garbage", version);
    assert_eq!(client.get(&second, Some(&both)), "1 hit");
}
