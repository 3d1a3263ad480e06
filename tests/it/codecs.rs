//! What each codec holds, and what is said where one cannot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::{
    Cache, Config, ErrorKind, Json, MessagePack, Outcome, observe, tagged_cache, with_cache,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Log, memory_cache};

async fn json_cache() -> Cache {
    Config::memory().codec::<Json>().build().await.unwrap()
}

async fn msgpack_cache() -> Cache {
    Config::memory().codec::<MessagePack>().build().await.unwrap()
}

/// A type of each kind that serde knows and that every codec holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Everything {
    unit: (),
    flag: bool,
    numbers: (i8, i64, u8, u64, f32, f64),
    wide: (i128, u128),
    letter: char,
    text: String,
    bytes: Vec<u8>,
    none: Option<u8>,
    some: Option<Option<u8>>,
    map: std::collections::BTreeMap<String, Vec<u16>>,
    variants: Vec<Variant>,
    shared: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Variant {
    Unit,
    New(Box<Variant>),
    Tuple(u8, String),
    Struct { inner: Option<Box<Variant>> },
}

fn everything() -> Everything {
    Everything {
        numbers: (i8::MIN, i64::MIN, u8::MAX, u64::MAX, f32::MIN_POSITIVE, f64::MAX),
        text: "snow \u{2603} \0".to_owned(),
        some: Some(Some(0)),
        bytes: (0..=255).collect(),
        map: [("a".to_owned(), vec![1, 2]), (String::new(), vec![])].into(),
        variants: vec![
            Variant::Unit,
            Variant::New(Box::new(Variant::Tuple(1, "x".to_owned()))),
            Variant::Struct { inner: Some(Box::new(Variant::Unit)) },
        ],
        shared: "shared".into(),
        ..Everything::default()
    }
}

#[tokio::test]
async fn every_codec_gives_back_what_it_got() {
    for cache in [memory_cache().await, json_cache().await, msgpack_cache().await] {
        let entry = cache.entry("everything");
        entry.set(&everything()).await.unwrap();
        assert_eq!(entry.get::<Everything>().await.unwrap(), Some(everything()), "{cache:?}");
        assert_eq!(cache.stats().unstorable, 0);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    first: Option<()>,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Circle { radius: u32 },
    Square { side: u32 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    own: u8,
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, u8>,
}

/// Each shape that bincode writes and cannot read: uncached and said once under bincode,
/// cached under the codecs that hold it.
#[tokio::test]
async fn what_bincode_cannot_hold_is_said_once_and_the_others_hold_it() {
    async fn check<T>(value: T)
    where
        T: Clone + std::fmt::Debug + PartialEq + Serialize + for<'de> Deserialize<'de>,
    {
        let log = Log::default();
        let listening = log.listen();
        let cache = memory_cache().await;
        let name = std::any::type_name::<T>();
        let entry = cache.entry(format!("{name} {value:?}"));
        for _ in 0..3 {
            assert_eq!(entry.get_or_set_with(async || value.clone()).await, value);
        }
        assert_eq!(entry.set(&value).await.unwrap_err().kind(), ErrorKind::Codec);
        assert_eq!(cache.stats().hits, 0, "{name}");
        drop(listening);
        let said = log.text();
        assert_eq!(said.matches("is not stored").count(), 1, "{said}");
        assert!(said.contains(name) && said.contains("`Json`"), "{said}");

        for cache in [json_cache().await, msgpack_cache().await] {
            let entry = cache.entry(name);
            entry.set(&value).await.unwrap();
            assert_eq!(entry.get::<T>().await.unwrap().as_ref(), Some(&value), "{name}");
        }
    }
    check(json!({ "a": [1, 2.5, null], "b": { "c": true } })).await;
    check(Sparse { first: None, text: "\0".to_owned() }).await;
    check(Tagged::Square { side: 3 }).await;
    check(Tagged::Circle { radius: 3 }).await;
    check(Untagged::Text("x".to_owned())).await;
    check(Untagged::Number(7)).await;
    check(Flat { own: 1, others: [("b".to_owned(), 2)].into() }).await;
}

/// The same through the attribute, with the codec named there.
#[tagged_cache(vary_on = [])]
async fn document_in_bincode(runs: &AtomicU32) -> Value {
    runs.fetch_add(1, Ordering::SeqCst);
    json!({ "secret": "hunter2" })
}

#[tagged_cache(vary_on = [], codec = Json)]
async fn document_in_json(runs: &AtomicU32) -> Value {
    runs.fetch_add(1, Ordering::SeqCst);
    json!({ "secret": "hunter2" })
}

#[tokio::test]
async fn a_function_names_the_codec_that_holds_its_value() {
    let log = Log::default();
    let _listening = log.listen();
    with_cache(memory_cache().await, async {
        let runs = AtomicU32::new(0);
        for _ in 0..3 {
            let (_, outcome) = observe(document_in_bincode(&runs)).await;
            assert_eq!(outcome, Some(Outcome::NotStored));
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        document_in_json(&runs).await;
        let (value, outcome) = observe(document_in_json(&runs)).await;
        assert_eq!((value, outcome), (json!({ "secret": "hunter2" }), Some(Outcome::Hit)));
    })
    .await;
    let said = log.text();
    assert_eq!(said.matches("document_in_bincode").count(), 1, "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// A value that can be written and not read back is found out before it is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct OneWay(String);

impl<'de> Deserialize<'de> for OneWay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Err(serde::de::Error::custom(format!("never, and least of all {text}")))
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_read_back_is_not_stored_and_not_quoted() {
    let log = Log::default();
    let _listening = log.listen();
    for cache in [memory_cache().await, json_cache().await, msgpack_cache().await] {
        let error = cache.entry("one-way").set(&OneWay("hunter2".to_owned())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Codec);
        let shown = format!("{error} {error:?} {}", log.text());
        assert!(shown.contains("cannot be decoded") && !shown.contains("hunter2"), "{shown}");
    }
}

/// Values that JSON or MessagePack write as others: not stored, rather than changed.
#[tokio::test]
async fn a_value_comes_back_as_it_was_or_not_at_all() {
    async fn check<T>(value: T)
    where
        T: Clone + std::fmt::Debug + Serialize + for<'de> Deserialize<'de>,
    {
        for cache in [memory_cache().await, json_cache().await, msgpack_cache().await] {
            let entry = cache.entry("value");
            for _ in 0..2 {
                let answer = entry.get_or_set_with(async || value.clone()).await;
                assert_eq!(format!("{answer:?}"), format!("{value:?}"), "{cache:?}");
            }
        }
    }
    check(Some(None::<u8>)).await;
    check(Some(())).await;
    check(vec![Some(Some(())), None]).await;
    check(Some(f64::NAN)).await;
    check([f32::INFINITY, -0.0, f32::MIN_POSITIVE]).await;
    // Numbers that a careless parser rounds.
    let mut bits = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..500 {
        bits = bits.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
        check(f64::from_bits(bits)).await;
    }
}

/// Fields that are only written, or only read: bincode would take one for another.
#[tokio::test]
async fn a_field_that_is_only_written_or_only_read() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct NotWritten {
        #[serde(skip_serializing, default)]
        is_admin: bool,
        name: String,
    }
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct NotRead {
        name: String,
        #[serde(skip_deserializing)]
        is_admin: bool,
    }
    let cache = memory_cache().await;
    for name in ["", "\0", "\u{1}\0", "Ada"] {
        let value = NotWritten { is_admin: false, name: name.to_owned() };
        let entry = cache.entry("not-written");
        for _ in 0..2 {
            assert_eq!(entry.get_or_set_with(async || value.clone()).await, value);
        }
        let value = NotRead { name: name.to_owned(), is_admin: false };
        let entry = cache.entry("not-read");
        for _ in 0..2 {
            assert_eq!(entry.get_or_set_with(async || value.clone()).await, value);
        }
    }
    assert_eq!(cache.stats().stored, 0);
    // The order of a map is no reason to refuse it.
    let map: std::collections::HashMap<u32, String> =
        (0..100).map(|n| (n, n.to_string())).collect();
    cache.entry("map").set(&map).await.unwrap();
    assert_eq!(cache.entry("map").get().await.unwrap(), Some(map));
}

/// A number that only JSON is shown.
#[tokio::test]
async fn a_value_that_is_another_one_for_readers() {
    #[derive(Clone, Debug, Deserialize)]
    struct Number(f64);
    impl Serialize for Number {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() {
                self.0.serialize(serializer)
            } else {
                self.0.to_bits().serialize(serializer)
            }
        }
    }
    let entry = json_cache().await.entry("number");
    assert_eq!(entry.set(&Some(Number(f64::NAN))).await.unwrap_err().kind(), ErrorKind::Codec);
}
