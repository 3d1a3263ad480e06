//! The bumps of a model: of which tags, when, by which futures, at what cost.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use fragkeys::{
    Bumped, Cache, Change, ErrorKind, Tag, TaggedModel, on_commit, tagged_cache, with_cache,
};
use fragkeys_tests::{Child, RedisServer};

use crate::support::{ask, memory_cache, over_both_stores, redis_cache, worker};

over_both_stores! {
    of_a_row_at_hand,
    by_key,
    by_scope,
    in_bulk,
    a_function_that_depends_on_a_row_runs_again,
    all_are_held_until_the_commit,
    what_cannot_be_bumped_is_an_error,
}

#[derive(TaggedModel)]
#[tagged_model(name = "Donations", scopes = ["Donations:org:<organization_id>"])]
struct Donation {
    id: u64,
    organization_id: u64,
}

#[derive(TaggedModel)]
#[tagged_model(key = (tenant, number))]
struct Member {
    tenant: u64,
    number: String,
}

const DONATION: Donation = Donation { id: 42, organization_id: 7 };

fn texts(bumped: &Bumped) -> Vec<String> {
    bumped.iter().map(|(tag, _)| tag.to_string()).collect()
}

async fn of_a_row_at_hand(cache: Cache) {
    with_cache(cache.clone(), async {
        let bumped = DONATION.invalidate().await.unwrap();
        assert_eq!(texts(&bumped), ["Donations:42", "Donations:org:7"]);
        for (tag, version) in &bumped {
            assert_eq!(cache.tag_version(tag).await.unwrap(), *version);
        }
    })
    .await;
}

async fn by_key(cache: Cache) {
    with_cache(cache, async {
        assert_eq!(texts(&Donation::invalidate_key(42).await.unwrap()), ["Donations:42"]);
        assert_eq!(texts(&Donation::invalidate_key("a:b").await.unwrap()), [r"Donations:a\:b"]);
        let keys = Donation::invalidate_keys([1, 2, 1]).await.unwrap();
        assert_eq!(texts(&keys), ["Donations:1", "Donations:2"]);
        assert_eq!(
            texts(&Donation::invalidate_keys([1_u64].iter()).await.unwrap()),
            ["Donations:1"]
        );
        assert!(Donation::invalidate_keys(Vec::<u64>::new()).await.unwrap().is_empty());
        assert_eq!(texts(&Member::invalidate_key((1, "x")).await.unwrap()), ["Member:1:x"]);
        let keys = Member::invalidate_keys([(1, "x"), (2, ":")]).await.unwrap();
        assert_eq!(texts(&keys), ["Member:1:x", r"Member:2:\:"]);
        let member = Member { tenant: 1, number: "x".to_owned() };
        assert_eq!(texts(&member.invalidate().await.unwrap()), ["Member:1:x"]);
    })
    .await;
}

async fn by_scope(cache: Cache) {
    with_cache(cache, async {
        let bumped = Donation::invalidate_scope("org", 7).await.unwrap();
        assert_eq!(texts(&bumped), ["Donations:org:7"]);
        assert_eq!(DONATION.scopes(), [bumped.iter().next().unwrap().0.clone()]);
        let hostile = Donation::invalidate_scope(String::from("org"), "7:8").await.unwrap();
        assert_eq!(texts(&hostile), [r"Donations:org:7\:8"]);
    })
    .await;
}

async fn in_bulk(cache: Cache) {
    with_cache(cache, async {
        let bumped = Donation::invalidate_bulk(1..=2, [("org", 7), ("org", 8)]).await.unwrap();
        let expected = ["Donations:1", "Donations:2", "Donations:org:7", "Donations:org:8"];
        assert_eq!(texts(&bumped), expected);
        let none = std::iter::empty::<(u8, u8)>();
        let scopes = vec![("tenant".to_owned(), "x")];
        let bumped = Member::invalidate_bulk(none, scopes).await.unwrap();
        assert_eq!(texts(&bumped), ["Member:tenant:x"]);
    })
    .await;
}

#[tagged_cache(tags = ["Donations:<id>"], vary_on = [id])]
async fn page(id: u64, runs: &Cell<u32>) -> u32 {
    runs.set(runs.get() + 1);
    runs.get()
}

async fn a_function_that_depends_on_a_row_runs_again(cache: Cache) {
    let runs = Cell::new(0);
    with_cache(cache, async {
        assert_eq!((page(42, &runs).await, page(42, &runs).await), (1, 1));
        Donation::invalidate_key(41).await.unwrap();
        assert_eq!(page(42, &runs).await, 1, "another row");
        Donation::invalidate_key(42).await.unwrap();
        assert_eq!(page(42, &runs).await, 2);
        DONATION.deleted().await.unwrap();
        assert_eq!(page(42, &runs).await, 3);
    })
    .await;
}

async fn all_are_held_until_the_commit(cache: Cache) {
    let committed = with_cache(cache.clone(), async {
        let transaction = on_commit(async {
            for bumped in [
                DONATION.invalidate().await?,
                DONATION.created().await?,
                DONATION.updated(&Change::unknown()).await?,
                DONATION.deleted().await?,
                Donation::invalidate_key(1).await?,
                Donation::invalidate_keys([2, 3]).await?,
                Donation::invalidate_scope("org", 8).await?,
                Donation::invalidate_bulk([4], [("org", 9)]).await?,
            ] {
                assert!(bumped.is_empty() && !bumped.held().is_empty(), "{bumped:?}");
            }
            assert_eq!(cache.stats().bumped, 0);
            Ok::<_, fragkeys::Error>(())
        });
        transaction.report().await.unwrap()
    });
    assert_eq!(committed.await.bumped.unwrap().len(), 8, "each once");
    let rolled_back = with_cache(cache.clone(), async {
        on_commit(async { Err::<(), _>(DONATION.invalidate().await) }).await
    });
    rolled_back.await.unwrap_err().unwrap();
    assert_eq!(cache.stats().bumped, 8);
}

async fn what_cannot_be_bumped_is_an_error(cache: Cache) {
    #[derive(TaggedModel)]
    #[tagged_model(scopes = [Tag::constant("env", "test")])]
    struct Row {
        id: u8,
    }
    let outcome = with_cache(cache.clone(), Row { id: 1 }.invalidate()).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(cache.stats().bumped, 0, "nor is the rest of them");
}

/// However many keys and scopes: one script, counted by the server.
#[tokio::test]
async fn each_bump_is_one_round_trip() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    cache.invalidate(["the script is loaded"]).await.unwrap();
    let scripts = async |bump: BoxedBump| {
        server.reset_stats();
        let bumped = with_cache(cache.clone(), bump).await.unwrap();
        let calls = ["evalsha", "eval"].map(|name| server.command_calls(name));
        (bumped.len(), calls)
    };
    let (once, scopes) = ([1, 0], || (0..100).map(|id| ("org", id)));
    assert_eq!(scripts(Box::pin(DONATION.invalidate())).await, (2, once));
    assert_eq!(scripts(Box::pin(DONATION.created())).await, (2, once));
    assert_eq!(scripts(Box::pin(DONATION.deleted())).await, (2, once));
    assert_eq!(scripts(Box::pin(DONATION.updated(&Change::unknown()))).await, (2, once));
    assert_eq!(scripts(Box::pin(Donation::invalidate_key(1))).await, (1, once));
    assert_eq!(scripts(Box::pin(Donation::invalidate_keys(0..1_000))).await, (1_000, once));
    assert_eq!(scripts(Box::pin(Donation::invalidate_scope("org", 7))).await, (1, once));
    let bulk = Donation::invalidate_bulk(0..1_000, scopes());
    assert_eq!(scripts(Box::pin(bulk)).await, (1_100, once));
    let nothing = Donation::invalidate_keys(0..0);
    assert_eq!(scripts(Box::pin(nothing)).await, (0, [0, 0]));
}

type BoxedBump = Pin<Box<dyn Future<Output = Result<Bumped, fragkeys::Error>>>>;

/// A row that is neither `Send` nor `'static`, as its future need not be either.
#[tokio::test]
async fn bumps_can_be_spawned_whatever_the_row_is() {
    #[derive(TaggedModel)]
    #[tagged_model(scopes = ["Local:name:<name>"])]
    struct Local<'a> {
        id: Rc<u64>,
        name: &'a str,
    }
    let futures = {
        let name = String::from("ada");
        let row = Local { id: Rc::new(1), name: &name };
        let old = Local { id: Rc::new(1), name: &name };
        vec![
            tokio::spawn(row.invalidate()),
            tokio::spawn(row.created()),
            tokio::spawn(row.updated(&Change::from_row(&old).columns(&["name"]))),
            tokio::spawn(row.deleted()),
            tokio::spawn(Local::invalidate_key(row.id.clone())),
            tokio::spawn(Local::invalidate_keys([row.name])),
            tokio::spawn(Local::invalidate_scope("name", row.name)),
            tokio::spawn(Local::invalidate_bulk([Rc::new(3)], [("name", row.name)])),
        ]
    };
    let mut bumped = Vec::new();
    for future in futures {
        bumped.push(future.await.unwrap().unwrap().len());
    }
    tokio::spawn(Local::mute(async {})).await.unwrap();
    assert_eq!(bumped, [2, 2, 2, 2, 1, 1, 1, 2]);
}

/// A function that takes any model can be spawned, too.
#[tokio::test]
async fn bumps_of_any_model_are_send() {
    async fn save<M: TaggedModel + Send + Sync>(row: M) -> Result<usize, fragkeys::Error> {
        Ok(row.created().await?.len() + row.updated(&Change::from_row(&row)).await?.len())
    }
    let saved = with_cache(memory_cache().await, save(DONATION));
    assert_eq!(tokio::spawn(saved).await.unwrap().unwrap(), 4);
}

/// In a process of its own, as what is installed stays for its life.
#[test]
fn a_bump_reaches_every_installed_cache_or_only_the_one_around_it() {
    let server = RedisServer::start();
    let mut process = worker(&server);
    for name in ["sessions", "reports"] {
        assert_eq!(ask(&mut process, &format!("install-as {name}")), "installed");
    }
    for command in ["invalidate 1", "invalidate-row 1"] {
        let before = versions(&mut process);
        let told = ask(&mut process, command).parse::<u64>().unwrap();
        let after = versions(&mut process);
        assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{command}");
        assert_eq!(Some(&told), after.iter().min(), "all have at least what is told");
        ask(&mut process, &format!("alone {command}")).parse::<u64>().unwrap();
        assert_eq!(versions(&mut process), after, "alone {command}");
    }
}

/// Of one row's tag, in each cache of a worker.
fn versions(process: &mut Child) -> [u64; 3] {
    ["default", "sessions", "reports"]
        .map(|name| ask(process, &format!("version {name} Row:1")).parse().unwrap())
}
