//! Arguments: borrowed, taken apart by patterns, generic, and without any bound.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use fragkeys::tagged_cache;
use serde::{Deserialize, Serialize};

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

#[tagged_cache(vary_on = [name, ids, limit, rows], tags = ["Name:<name>"])]
async fn borrowed(
    name: &str,
    ids: &[u64],
    limit: Option<&u64>,
    rows: &BTreeMap<String, Vec<u8>>,
    runs: &Runs,
) -> String {
    runs.add();
    format!("{name} {ids:?} {limit:?} {rows:?}")
}

#[tokio::test]
async fn borrowed_arguments() {
    in_new_cache(async {
        let runs = Runs::default();
        let none = BTreeMap::new();
        let some = BTreeMap::from([("a".to_owned(), vec![1])]);
        assert_caches(&runs, || borrowed("a", &[1, 2], None, &none, &runs)).await;
        assert_caches(&runs, || borrowed("a", &[1], Some(&2), &none, &runs)).await;
        assert_caches(&runs, || borrowed("a", &[1], None, &some, &runs)).await;
        assert_caches(&runs, || borrowed("b", &[1], None, &some, &runs)).await;
    })
    .await;
}

/// Neither `Serialize` nor anything else, and in no key.
struct Pool;

#[tagged_cache(vary_on = [user_id])]
async fn with_pool(_pool: &Pool, user_id: u64, load: impl Fn() -> u64, runs: &Runs) -> u64 {
    runs.add();
    user_id + load()
}

#[tokio::test]
async fn arguments_in_no_key_need_no_bound() {
    in_new_cache(async {
        let runs = Runs::default();
        let (ten, twenty) = (|| 10, || 20);
        assert_eq!(assert_runs(&runs, with_pool(&Pool, 1, ten, &runs)).await, 11);
        assert_eq!(assert_hits(&runs, with_pool(&Pool, 1, ten, &runs)).await, 11);
        // Another closure is another type, and that makes another function.
        assert_eq!(assert_runs(&runs, with_pool(&Pool, 1, twenty, &runs)).await, 21);
    })
    .await;
}

struct Wrapper<T>(T);

struct Page {
    number: u64,
    size: u64,
    _pool: Pool,
}

#[tagged_cache(vary_on = [a, b, id, number, size, first], tags = ["Page:<number>:<id>"])]
async fn patterns(
    (a, b): (u8, u8),
    Wrapper(id): Wrapper<u64>,
    Page { number, size, _pool: _ }: Page,
    [first, ..]: [u8; 3],
    runs: &Runs,
) -> (u8, u64) {
    runs.add();
    (a + b + first, id + number + size)
}

#[tokio::test]
async fn arguments_taken_apart() {
    in_new_cache(async {
        let runs = Runs::default();
        let call = |b, id, size| {
            let page = Page { number: 1, size, _pool: Pool };
            patterns((1, b), Wrapper(id), page, [1, 2, 3], &runs)
        };
        assert_eq!(assert_caches(&runs, || call(2, 10, 20)).await, (4, 31));
        assert_eq!(assert_caches(&runs, || call(3, 10, 20)).await, (5, 31));
        assert_eq!(assert_caches(&runs, || call(2, 11, 20)).await, (4, 32));
        assert_eq!(assert_caches(&runs, || call(2, 10, 21)).await, (4, 32));
    })
    .await;
}

#[tokio::test]
async fn all_bindings_are_in_the_key_by_default() {
    static RUNS: Runs = Runs(std::sync::atomic::AtomicU32::new(0));

    #[tagged_cache]
    async fn all((a, b): (u8, u8), whole @ Wrapped(part): Wrapped, _: Pool, mut c: u8) -> u8 {
        RUNS.add();
        c += a + b;
        c + part + whole.0
    }

    #[derive(Clone, Copy, Serialize)]
    struct Wrapped(u8);

    in_new_cache(async {
        assert_eq!(assert_caches(&RUNS, || all((1, 2), Wrapped(3), Pool, 4)).await, 13);
        assert_eq!(assert_caches(&RUNS, || all((2, 1), Wrapped(3), Pool, 4)).await, 13);
        assert_eq!(assert_caches(&RUNS, || all((1, 2), Wrapped(4), Pool, 4)).await, 15);
        assert_eq!(assert_caches(&RUNS, || all((1, 2), Wrapped(3), Pool, 5)).await, 14);
    })
    .await;
}

/// The key is made of what the caller gave, not of what the body made of it.
#[tokio::test]
async fn changed_argument() {
    #[tagged_cache(vary_on = [count], tags = ["Count:<count>"])]
    async fn changed(mut count: u64, runs: &Runs) -> u64 {
        runs.add();
        count *= 2;
        count
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || changed(4, &runs)).await, 8);
        assert_eq!(assert_caches(&runs, || changed(8, &runs)).await, 16);
    })
    .await;
}

#[tagged_cache(vary_on = [id, label], tags = ["Id:<id>"])]
async fn generic<'a, T, L, const N: usize>(
    id: T,
    label: &'a L,
    numbers: [u8; N],
    more: impl Iterator<Item = &'a str> + Send,
    runs: &Runs,
) -> Result<(T, Vec<u8>, usize), std::fmt::Error>
where
    T: Display + Debug + Clone + Serialize + for<'de> Deserialize<'de> + Send + 'static,
    L: Serialize + ?Sized + Sync,
{
    runs.add();
    Ok((id, numbers.to_vec(), more.count()))
}

#[tokio::test]
async fn generic_arguments() {
    in_new_cache(async {
        let runs = Runs::default();
        let call =
            |id: u64, label: &'static str| generic(id, label, [1, 2], ["x"].into_iter(), &runs);
        assert_eq!(assert_caches(&runs, || call(1, "a")).await, Ok((1, vec![1, 2], 1)));
        assert_eq!(assert_caches(&runs, || call(1, "b")).await, Ok((1, vec![1, 2], 1)));
        let other = || generic("1".to_owned(), "a", [1, 2, 3], std::iter::empty(), &runs);
        assert_eq!(assert_caches(&runs, other).await, Ok(("1".to_owned(), vec![1, 2, 3], 0)));
    })
    .await;
}

#[tagged_cache(vary_on = [id], tags = ["Id:<id>"])]
async fn impl_trait(id: impl Display + Serialize, runs: &Runs) -> String {
    runs.add();
    id.to_string()
}

#[tokio::test]
async fn impl_trait_arguments() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || impl_trait(7, &runs)).await, "7");
        assert_eq!(assert_caches(&runs, || impl_trait("7", &runs)).await, "7");
    })
    .await;
}

#[derive(Serialize)]
struct User {
    id: u64,
    org: Org,
}

#[derive(Serialize)]
struct Org(u64, String);

#[tagged_cache(vary_on = [user.id, user.org.0, pair.1], tags = ["Org:<user.org.1>"])]
async fn paths(user: &User, pair: (Pool, u64), runs: &Runs) -> u64 {
    runs.add();
    user.id + user.org.0 + pair.1
}

#[tokio::test]
async fn paths_into_arguments() {
    in_new_cache(async {
        let runs = Runs::default();
        let user = |id, org| User { id, org: Org(org, "acme".to_owned()) };
        let (a, b, c) = (user(1, 1), user(2, 1), user(1, 2));
        assert_eq!(assert_caches(&runs, || paths(&a, (Pool, 1), &runs)).await, 3);
        assert_eq!(assert_caches(&runs, || paths(&b, (Pool, 1), &runs)).await, 4);
        assert_eq!(assert_caches(&runs, || paths(&c, (Pool, 1), &runs)).await, 4);
        assert_eq!(assert_caches(&runs, || paths(&a, (Pool, 2), &runs)).await, 4);
    })
    .await;
}
