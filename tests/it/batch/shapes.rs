//! The functions that can be batches, and the arguments and maps that they may have.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::hash::{BuildHasherDefault, DefaultHasher, Hash};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fragkeys::{BatchMap, Tag, tagged_cache, with_cache};
use serde::{Deserialize, Serialize};

use crate::support::memory_cache;

/// How many elements bodies were asked for.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl Asked {
    fn add(&self, number: usize) {
        self.0.fetch_add(number, Ordering::SeqCst);
    }
}

/// The first call asks the body for all of its elements, the second one for none.
async fn assert_caches<M, F>(asked: &Asked, number: usize, call: impl Fn() -> F) -> M
where
    M: PartialEq + Debug,
    F: Future<Output = M>,
{
    asked.0.store(0, Ordering::SeqCst);
    let (first, second) =
        with_cache(memory_cache().await, async { (call().await, call().await) }).await;
    assert_eq!(first, second);
    assert_eq!(asked.0.load(Ordering::SeqCst), number);
    first
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    tenant: u32,
    name: String,
}

fn keys() -> Vec<Key> {
    [(1, "a"), (1, "b"), (2, "a")].map(|(tenant, name)| Key { tenant, name: name.into() }).into()
}

/// Paths into the element, in templates and expressions; all the other arguments matter.
#[tagged_cache(batch, tags = ["Tenant:<key.tenant>", Tag::new("Name", &key.name)], jitter = 0.5)]
async fn by_struct(asked: &Asked2<'_>, keys: &[Key]) -> BTreeMap<Key, u32> {
    asked.0.add(keys.len());
    keys.iter().map(|key| (key.clone(), key.tenant * asked.1)).collect()
}

/// An argument that is a part of the key by its number alone.
struct Asked2<'a>(&'a Asked, u32);

impl Serialize for Asked2<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.1.serialize(serializer)
    }
}

#[tokio::test]
async fn paths_into_elements_and_other_arguments() {
    let asked = Asked::default();
    let (one, two) = (Asked2(&asked, 1), Asked2(&asked, 2));
    let keys = keys();
    let found = assert_caches(&asked, 3, || by_struct(&one, &keys)).await;
    assert_eq!(found.len(), 3);
    let cache = memory_cache().await;
    with_cache(cache.clone(), async {
        asked.0.store(0, Ordering::SeqCst);
        by_struct(&one, &keys).await;
        assert_eq!(by_struct(&two, &keys).await[&keys[2]], 4, "another argument, another entry");
        assert_eq!(asked.0.load(Ordering::SeqCst), 6);
        cache.invalidate([Tag::new("Tenant", 1)]).await.unwrap();
        by_struct(&one, &keys).await;
        assert_eq!(asked.0.load(Ordering::SeqCst), 8);
        cache.invalidate([Tag::new("Name", "a")]).await.unwrap();
        by_struct(&one, &keys).await;
        assert_eq!(asked.0.load(Ordering::SeqCst), 10);
    })
    .await;
}

/// Generic in the element, a hasher of its own, `?`, and a name for the element.
#[tagged_cache(batch = it in these, tags = ["It:<it>"], vary_on = [])]
async fn generic<K, S>(asked: &Asked, these: &[K], others: &[u8], _hasher: S) -> Found<K, S>
where
    K: Clone + Eq + Hash + Display + Serialize,
    S: std::hash::BuildHasher + Default,
{
    asked.add(these.len());
    let number = "1".parse::<u64>()?;
    let number = number + others.len() as u64;
    Ok(these.iter().map(|it| (it.clone(), number)).collect())
}

type Found<K, S> = Result<HashMap<K, u64, S>, std::num::ParseIntError>;

#[tokio::test]
async fn generic_functions_and_hashers() {
    let asked = Asked::default();
    let hasher = BuildHasherDefault::<DefaultHasher>::default;
    let names = ["a".to_owned(), "b".to_owned()];
    assert_caches(&asked, 2, || generic(&asked, &names, &[], hasher())).await.unwrap();
    assert_caches(&asked, 2, || generic(&asked, &[1_u8, 2], &[3], hasher())).await.unwrap();
}

/// Elements may borrow: only values are stored.
#[tagged_cache(batch, tags = ["Name:<name>"], vary_on = [])]
async fn borrowed<'a>(asked: &Asked, names: &[&'a str]) -> HashMap<&'a str, usize> {
    asked.add(names.len());
    names.iter().map(|name| (*name, name.len())).collect()
}

/// By value, changed by the body, of a name without an `s`, and raw.
#[tagged_cache(batch = row, vary_on = [])]
async fn by_value(asked: &Asked, mut list: Vec<u8>) -> BTreeMap<u8, u8> {
    list.sort_unstable();
    asked.add(list.len());
    list.into_iter().zip(0..).collect()
}

#[tagged_cache(batch, tags = ["Type:<type>"], vary_on = [r#type])]
async fn raw(asked: &Asked, types: &[char]) -> HashMap<char, char> {
    asked.add(types.len());
    types.iter().map(|letter| (*letter, letter.to_ascii_uppercase())).collect()
}

#[tokio::test]
async fn arguments_of_many_kinds() {
    let asked = Asked::default();
    let owned = "ab".to_owned();
    let names = ["c", &owned];
    assert_eq!(assert_caches(&asked, 2, || borrowed(&asked, &names)).await["ab"], 2);
    assert_eq!(assert_caches(&asked, 3, || by_value(&asked, vec![9, 7, 8])).await[&7], 0);
    assert_eq!(assert_caches(&asked, 1, || raw(&asked, &['x'])).await[&'x'], 'X');
}

/// A map of one's own, which must say its output's name.
#[derive(Debug, Default, PartialEq)]
struct Pairs(Vec<(u64, String)>);

impl BatchMap for Pairs {
    type Key = u64;
    type Value = String;

    fn get(&self, key: &u64) -> Option<&String> {
        self.0.iter().find(|(id, _)| id == key).map(|(_, name)| name)
    }

    fn insert(&mut self, key: u64, value: String) {
        self.0.push((key, value));
    }
}

struct Repository {
    tenant: u64,
    asked: Asked,
}

impl Repository {
    #[tagged_cache(batch, tags = ["Tenant:<self.tenant>", "User:<user_id>"], vary_on = [self.tenant])]
    async fn pairs(&self, user_ids: &[u64]) -> Pairs {
        self.asked.add(user_ids.len());
        Pairs(user_ids.iter().map(|id| (*id, format!("{}/{id}", self.tenant))).collect())
    }

    #[tagged_cache(batch, vary_on = [self.tenant])]
    async fn changing(&mut self, ids: &[u64]) -> HashMap<u64, u64> {
        self.asked.add(ids.len());
        self.tenant += 1;
        ids.iter().map(|id| (*id, self.tenant)).collect()
    }

    #[tagged_cache(batch, vary_on = [self.tenant])]
    fn boxed<'a>(
        &'a self,
        ids: &'a [u64],
    ) -> Pin<Box<dyn Future<Output = HashMap<u64, u64>> + Send + 'a>> {
        self.asked.add(ids.len());
        Box::pin(async move { ids.iter().map(|id| (*id, self.tenant)).collect() })
    }

    #[tagged_cache(batch, vary_on = [self.tenant])]
    fn opaque(&self, ids: &[u64]) -> impl Future<Output = HashMap<u64, u64>> + Send {
        self.asked.add(ids.len());
        async move { ids.iter().map(|id| (*id, self.tenant)).collect() }
    }
}

#[async_trait]
trait Users {
    async fn names(&self, ids: &[u64]) -> Result<HashMap<u64, String>, Box<dyn std::error::Error>>;
}

#[async_trait]
impl Users for Repository {
    #[tagged_cache(batch, tags = ["User:<id>"], vary_on = [self.tenant])]
    async fn names(&self, ids: &[u64]) -> Result<HashMap<u64, String>, Box<dyn std::error::Error>> {
        self.asked.add(ids.len());
        let first = ids.first().ok_or("nobody")?;
        Ok(ids.iter().map(|id| (*id, format!("{first} {id}"))).collect())
    }
}

#[tokio::test]
async fn methods_and_futures() {
    let mut repository = Repository { tenant: 7, asked: Asked::default() };
    let asked = &repository.asked;
    let pairs = assert_caches(asked, 2, || repository.pairs(&[1, 2])).await;
    assert_eq!(pairs.get(&2).map(String::as_str), Some("7/2"));
    assert_eq!(assert_caches(asked, 2, || repository.boxed(&[1, 2])).await[&1], 7);
    assert_eq!(assert_caches(asked, 1, || repository.opaque(&[1])).await[&1], 7);
    let names = assert_caches(asked, 2, async || repository.names(&[1, 2]).await.unwrap()).await;
    assert_eq!(names[&2], "1 2");
    let cache = memory_cache().await;
    with_cache(cache, async {
        assert_eq!(repository.changing(&[1]).await[&1], 8);
        repository.tenant = 7;
        assert_eq!(repository.changing(&[1, 2]).await, HashMap::from([(1, 8), (2, 8)]));
    })
    .await;
}

/// The future is `Send` where the body is, also if its error is not.
#[tokio::test]
async fn batches_can_be_spawned() {
    #[tagged_cache(batch = id in ids, tags = ["User:<id>"])]
    async fn spawned(ids: &[u64], names: Vec<String>) -> Result<HashMap<u64, String>, String> {
        tokio::task::yield_now().await;
        Ok(ids.iter().copied().zip(names).collect())
    }
    #[tagged_cache(batch)]
    async fn local_error(ids: Vec<u64>) -> Result<HashMap<u64, u64>, std::rc::Rc<str>> {
        ids.first().map(|id| (*id, *id)).into_iter().map(Ok).collect()
    }
    let spawned = async {
        let ids = vec![1, 2];
        let _ = spawned(&ids, vec!["a".to_owned(), "b".to_owned()]).await;
        local_error(ids).await.is_ok()
    };
    let cache = memory_cache().await;
    assert!(tokio::spawn(with_cache(cache, spawned)).await.unwrap());
}
