//! The other options: `vary_on`, `version`, `key_name`, `cache_name`, `cache_if`, `codec`.

use fragkeys::{
    Bincode, Codec, CodecError, Config, Json, MessagePack, Outcome, cache, observe, tagged_cache,
    with_cache,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

#[tokio::test]
async fn vary_on_nothing() {
    #[tagged_cache(vary_on = [])]
    async fn constant(user_id: u64, runs: &Runs) -> u64 {
        runs.add();
        user_id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_runs(&runs, constant(1, &runs)).await, 1);
        assert_eq!(assert_hits(&runs, constant(2, &runs)).await, 1);
    })
    .await;
}

/// One function in several releases of a program.
macro_rules! release {
    ($module:ident, $value:literal $(, version = $version:literal)?) => {
        mod $module {
            #[fragkeys::tagged_cache(vary_on = [], key_name = "released" $(, version = $version)?)]
            pub(super) async fn load(runs: &super::Runs) -> u8 {
                runs.add();
                $value
            }
        }
    };
}

release!(version_none, 0);
release!(version_1, 1, version = 1);
release!(version_text, 2, version = "2026-11");
release!(version_empty, 3, version = "");

#[tokio::test]
async fn version_is_a_generation() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || version_none::load(&runs)).await, 0);
        assert_eq!(assert_caches(&runs, || version_1::load(&runs)).await, 1);
        assert_eq!(assert_caches(&runs, || version_text::load(&runs)).await, 2);
        assert_eq!(assert_caches(&runs, || version_empty::load(&runs)).await, 3);
    })
    .await;
}

#[tokio::test]
async fn cache_name_that_is_not_installed_runs_uncached() {
    #[tagged_cache(vary_on = [], cache_name = "never-installed")]
    async fn load(runs: &Runs) -> u64 {
        runs.add();
        1
    }
    let runs = Runs::default();
    for _ in 0..2 {
        let (_, outcome) = assert_runs(&runs, observe(load(&runs))).await;
        assert_eq!(outcome, Some(Outcome::Bypass));
    }
}

#[tagged_cache(vary_on = [], cache_name = "attribute-sessions", tags = ["Session"])]
async fn in_sessions(runs: &Runs) -> u64 {
    runs.add();
    1
}

/// Installed for the whole process, under a name that no other test uses.
#[tokio::test]
async fn cache_name_that_is_installed() {
    let sessions = Config::memory().install_as("attribute-sessions").await.unwrap();
    let runs = Runs::default();
    assert_caches(&runs, || in_sessions(&runs)).await;
    sessions.invalidate(["Session"]).await.unwrap();
    assert_caches(&runs, || in_sessions(&runs)).await;
    // A test's or tenant's cache stands in for the named ones too.
    in_new_cache(assert_caches(&runs, || in_sessions(&runs))).await;
}

#[tokio::test]
async fn cache_if_closure() {
    #[tagged_cache(vary_on = [ids], cache_if = |found| !found.is_empty())]
    async fn some(ids: &[u64], runs: &Runs) -> Vec<u64> {
        runs.add();
        ids.to_vec()
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_caches(&runs, || some(&[1], &runs)).await;
        let (_, outcome) = assert_runs(&runs, observe(some(&[], &runs))).await;
        assert_eq!(outcome, Some(Outcome::NotStored));
        assert_runs(&runs, some(&[], &runs)).await;
    })
    .await;
}

#[tokio::test]
async fn cache_if_path() {
    #[tagged_cache(vary_on = [id], cache_if = Option::is_some)]
    async fn found(id: u64, runs: &Runs) -> Result<Option<u64>, std::fmt::Error> {
        runs.add();
        Ok((id > 0).then_some(id))
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || found(1, &runs)).await, Ok(Some(1)));
        assert_eq!(assert_runs(&runs, found(0, &runs)).await, Ok(None));
        assert_eq!(assert_runs(&runs, found(0, &runs)).await, Ok(None));
    })
    .await;
}

#[tokio::test]
async fn cache_if_sees_arguments() {
    #[tagged_cache(vary_on = [id], cache_if = move |value| *value < limit)]
    async fn below(id: u64, limit: u64, runs: &Runs) -> u64 {
        runs.add();
        id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_caches(&runs, || below(1, 2, &runs)).await;
        assert_runs(&runs, below(3, 2, &runs)).await;
        assert_runs(&runs, below(3, 2, &runs)).await;
    })
    .await;
}

/// Bincode behind a byte that says whose it is.
struct Marked;

impl Codec for Marked {
    const NAME: &'static str = "marked-1";

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
        let mut bytes = Bincode::encode(value)?;
        bytes.insert(0, b'm');
        Ok(bytes)
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        match bytes {
            [b'm', rest @ ..] => Bincode::decode(rest),
            _ => Err(CodecError::new("not marked")),
        }
    }
}

macro_rules! caches_with_codec {
    ($($name:ident: $codec:ty;)*) => {$(
        #[tokio::test]
        async fn $name() {
            #[tagged_cache(vary_on = [], codec = $codec)]
            async fn load(runs: &Runs) -> Result<(String, Option<u8>), std::fmt::Error> {
                runs.add();
                Ok(("Ada".to_owned(), None))
            }
            in_new_cache(async {
                let runs = Runs::default();
                let value = assert_caches(&runs, || load(&runs)).await;
                assert_eq!(value, Ok(("Ada".to_owned(), None)));
            })
            .await;
        }
    )*};
}

caches_with_codec! {
    codec_bincode: Bincode;
    codec_json: fragkeys::Json;
    codec_msgpack: MessagePack;
    codec_of_ones_own: Marked;
}

#[tokio::test]
async fn codec_of_the_cache() {
    #[tagged_cache(vary_on = [])]
    async fn load(runs: &Runs) -> Vec<u64> {
        runs.add();
        vec![1, 2]
    }
    let runs = Runs::default();
    for config in [Config::memory().codec::<Json>(), Config::memory().codec::<MessagePack>()] {
        let cache = config.build().await.unwrap();
        with_cache(cache, assert_caches(&runs, || load(&runs))).await;
    }
}

#[tokio::test]
async fn all_options_together() {
    #[tagged_cache(
        timeout = 3600,
        tags = ["User:<user_id>"],
        vary_on = [user_id],
        version = 3,
        key_name = "all_options",
        cache_name = "default",
        cache_if = |value: &u64| *value > 0,
        jitter = 0.25,
        codec = MessagePack,
    )]
    async fn load(user_id: u64, runs: &Runs) -> u64 {
        runs.add();
        user_id
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_caches(&runs, || load(1, &runs)).await;
        cache().invalidate(["User:1"]).await.unwrap();
        assert_runs(&runs, load(1, &runs)).await;
    })
    .await;
}
