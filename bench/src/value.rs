//! The value that everybody caches, in two sizes of one type.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

/// A list of people: one, or as many as make 16 KiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Page {
    people: Vec<Person>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Person {
    id: u64,
    name: String,
    email: String,
    about: String,
    teams: Vec<String>,
    joined: i64,
    is_active: bool,
}

/// How large the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Large,
}

const PEOPLE_IN_LARGE: u64 = 103;
/// The ids of large values begin here.
const LARGE: u64 = 1_000_000;

impl Size {
    /// The ids whose values have this size: as many as are asked for in turn.
    #[must_use]
    pub fn ids(self) -> Range<u64> {
        match self {
            Size::Small => 0..1_000,
            Size::Large => LARGE..LARGE + 40,
        }
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Large => "large",
        }
    }

    /// The bytes of an encoded value.
    #[must_use]
    pub fn bytes(self) -> usize {
        encode(&page(self.ids().start)).len()
    }
}

/// The value of an id.
#[must_use]
pub fn page(id: u64) -> Page {
    let count = if id < LARGE { 1 } else { PEOPLE_IN_LARGE };
    let person = |index| Person {
        id: id + index,
        name: format!("Person Number {:07}", id + index),
        email: format!("person.{:07}@mail.example.org", id + index),
        about: "Writes about caches, reads about clocks, and grows tomatoes on the balcony.".into(),
        teams: vec!["platform".into(), "on-call".into()],
        joined: 1_700_000_000,
        is_active: true,
    };
    Page { people: (0..count).map(person).collect() }
}

static RUNS: AtomicU64 = AtomicU64::new(0);

/// The body of cached functions: counts, so that nobody takes misses for hits.
pub fn run(id: u64) -> Page {
    RUNS.fetch_add(1, Ordering::Relaxed);
    page(id)
}

/// How often a body has run.
#[must_use]
pub fn runs() -> u64 {
    RUNS.load(Ordering::Relaxed)
}

#[must_use]
pub fn encode(page: &Page) -> Vec<u8> {
    bincode::serde::encode_to_vec(page, bincode::config::standard()).expect("a plain struct")
}

#[must_use]
pub fn decode(bytes: &[u8]) -> Page {
    let decoded = bincode::serde::decode_from_slice(bytes, bincode::config::standard());
    decoded.expect("what `encode` gave").0
}
