use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

use bincode::config::{Configuration, standard};
use bincode::error::DecodeError;
use bincode::serde::{
    BorrowedSerdeDecoder, decode_from_slice, encode_to_vec, seed_decode_from_slice,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::*;

fn config() -> Configuration {
    standard()
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_to_vec(value, config()).unwrap()
}

fn wide() -> Limits {
    limits(MAX_DEPTH, 1 << 24)
}

/// Decodes as the codec does.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, usize), DecodeError> {
    seed_decode_from_slice(GuardedSeed::<T>::new(Limits::for_input(bytes.len())), bytes, config())
}

/// Decodes with limits through the seed.
fn decode_within<T: DeserializeOwned>(
    bytes: &[u8],
    limits: Limits,
) -> Result<(T, usize), DecodeError> {
    seed_decode_from_slice(GuardedSeed::<T>::new(limits), bytes, config())
}

fn limits(max_depth: u32, max_elements: u64) -> Limits {
    Limits { max_depth, max_elements }
}

/// Bincode's encoding of a length or number.
fn number(value: u64) -> Vec<u8> {
    encode(&value)
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
enum Expr {
    Num(i64),
    Neg(Box<Expr>),
    Add(Box<Expr>, Box<Expr>),
    Call { name: String, args: Vec<Expr> },
    Nothing,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct List {
    value: u8,
    next: Option<Box<List>>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Newtype(Option<Box<Newtype>>);

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Tree {
    children: Vec<Tree>,
}

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Keyed(BTreeMap<u8, Keyed>);

#[derive(Serialize, Deserialize, Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Nothing;

#[derive(Serialize, Deserialize, Debug, PartialEq, Clone)]
struct Record {
    id: u128,
    name: String,
    tags: BTreeSet<String>,
    scores: HashMap<String, f64>,
    address: Option<IpAddr>,
    timeout: Duration,
    state: Result<(u8, char), Nothing>,
    expr: Expr,
    raw: Vec<u8>,
}

fn record() -> Record {
    Record {
        id: u128::MAX - 5,
        name: "näme".into(),
        tags: ["a".into(), "b".into()].into(),
        scores: [("x".into(), 1.5), ("y".into(), -0.0)].into(),
        address: Some("::1".parse().unwrap()),
        timeout: Duration::new(5, 6),
        state: Ok((7, 'ß')),
        expr: Expr::Call {
            name: "f".into(),
            args: vec![
                Expr::Num(-3),
                Expr::Nothing,
                Expr::Add(
                    Box::new(Expr::Num(i64::MIN)),
                    Box::new(Expr::Neg(Box::new(Expr::Num(1)))),
                ),
            ],
        },
        raw: (0..=255).collect(),
    }
}

fn assert_round_trip<T>(value: T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let bytes = encode(&value);
    let plain: (T, usize) = decode_from_slice(&bytes, config()).unwrap();
    assert_eq!(plain, (value, bytes.len()));
    let for_input = Limits::for_input(bytes.len());
    assert_eq!(decode::<T>(&bytes).unwrap(), plain);
    assert_eq!(decode_within::<T>(&bytes, for_input).unwrap(), plain);

    let mut borrowed = BorrowedSerdeDecoder::from_slice(&bytes, config(), ());
    let value: T = guarded(borrowed.as_deserializer(), for_input).unwrap();
    assert_eq!(value, plain.0);

    for cut in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
        assert!(decode::<T>(&bytes[..cut]).is_err());
    }
}

#[test]
fn honest_values_round_trip() {
    assert_round_trip(true);
    assert_round_trip((i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    assert_round_trip((u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    assert_round_trip((1.5f32, f64::MAX, 'x', 'ß'));
    assert_round_trip(String::from("text"));
    assert_round_trip(std::ffi::CString::new("bytes").unwrap());
    assert_round_trip(std::path::PathBuf::from("/a/b"));
    assert_round_trip(());
    assert_round_trip(Nothing);
    assert_round_trip(vec![(); 1000]);
    assert_round_trip(vec![Nothing; 60_000]);
    assert_round_trip(Some(Some(3u8)));
    assert_round_trip((None::<u8>, Some(())));
    assert_round_trip(vec![vec![1u16], vec![], vec![2, 3]]);
    assert_round_trip((0..20_000u32).collect::<Vec<_>>());
    assert_round_trip([[1u8; 4]; 5]);
    assert_round_trip(BTreeMap::from([(String::from("k"), vec![1u8])]));
    assert_round_trip(vec![Ok::<u8, String>(1), Err("e".into())]);
    assert_round_trip(uuid::Uuid::from_u128(77));
    assert_round_trip(chrono::DateTime::<chrono::Utc>::UNIX_EPOCH);
    assert_round_trip("127.0.0.1:80".parse::<std::net::SocketAddr>().unwrap());
    assert_round_trip(std::time::SystemTime::UNIX_EPOCH);
    assert_round_trip(record());
    assert_round_trip(vec![record(), record()]);
    assert_round_trip(Some(Box::new(record())));
}

#[test]
fn borrowed_values_are_borrowed() {
    let bytes = encode(&("text", Some("more")));
    let mut decoder = BorrowedSerdeDecoder::from_slice(&bytes, config(), ());
    let value: (&str, Option<&str>) = guarded(decoder.as_deserializer(), wide()).unwrap();
    assert_eq!(value, ("text", Some("more")));
    assert!(bytes.as_ptr_range().contains(&value.0.as_ptr()));
}

/// Input that repeats `level` a million times.
fn deep(level: &[u8]) -> Vec<u8> {
    level.repeat(1_000_000)
}

#[test]
fn input_nested_a_million_deep_is_an_error() {
    assert!(decode::<Expr>(&deep(&[1])).is_err());
    assert!(decode::<Expr>(&deep(&[2])).is_err());
    assert!(decode::<Expr>(&deep(&[3, 0, 1])).is_err());
    assert!(decode::<List>(&deep(&[7, 1])).is_err());
    assert!(decode::<Newtype>(&deep(&[1])).is_err());
    assert!(decode::<Tree>(&deep(&[1])).is_err());
    assert!(decode::<Keyed>(&deep(&[1, 1])).is_err());
    assert!(decode::<Record>(&deep(&[1])).is_err());
    let within = limits(u32::MAX, 100);
    assert!(decode_within::<Tree>(&deep(&[1]), within).is_err());
}

#[test]
fn the_depth_limit_is_exact() {
    let nested = |levels: usize| {
        let mut bytes = vec![1; levels];
        bytes.extend([0, 10]);
        bytes
    };
    let eight = limits(8, 0);
    // Each `Neg` and the final `Num` are a level.
    assert!(decode_within::<Expr>(&nested(7), eight).is_ok());
    assert!(decode_within::<Expr>(&nested(8), eight).is_err());
    assert!(decode::<Expr>(&nested(127)).is_ok());
    assert!(decode::<Expr>(&nested(128)).is_err());
    assert!(decode_within::<u8>(&[1], limits(0, 0)).is_ok());
    assert!(decode_within::<Option<u8>>(&[0], limits(0, 0)).is_ok());
    assert!(decode_within::<Option<u8>>(&[1, 1], limits(0, 0)).is_err());
    assert!(decode_within::<(u8, u8)>(&[1, 1], limits(0, 0)).is_err());
    // Siblings do not add up.
    assert!(
        decode_within::<Vec<(u8, Option<u8>)>>(&encode(&vec![(1, Some(1)); 9]), limits(3, 9))
            .is_ok()
    );
}

#[test]
fn claimed_elements_without_content_are_an_error() {
    let claim = number(1 << 40);
    let within = Limits::for_input(claim.len());
    assert!(decode::<Vec<()>>(&claim).is_err());
    assert!(decode_within::<Vec<()>>(&claim, within).is_err());
    assert!(decode_within::<Vec<Nothing>>(&claim, within).is_err());
    assert!(decode_within::<Vec<[(); 3]>>(&claim, within).is_err());
    assert!(decode_within::<BTreeSet<Nothing>>(&claim, within).is_err());
    assert!(decode_within::<BTreeMap<(), ()>>(&claim, within).is_err());
    // Each of many claims is small, but not all of them together.
    let many: Vec<u8> = [number(100), number(1000).repeat(100)].concat();
    assert!(decode_within::<Vec<Vec<()>>>(&many, limits(9, 100_100)).is_ok());
    assert!(decode_within::<Vec<Vec<()>>>(&many, limits(9, 100_099)).is_err());
}

#[test]
fn claimed_lengths_reserve_nothing() {
    for length in [1 << 40, 1 << 62, u64::MAX] {
        let claim = number(length);
        assert!(decode::<Vec<u64>>(&claim).is_err());
        assert!(decode::<String>(&claim).is_err());
        assert!(decode::<std::path::PathBuf>(&claim).is_err());
        assert!(decode::<std::ffi::CString>(&claim).is_err());
        assert!(decode::<uuid::Uuid>(&claim).is_err());
        assert!(decode::<BTreeMap<String, u8>>(&claim).is_err());
        assert!(decode::<HashMap<u64, [u64; 32]>>(&claim).is_err());
    }
}

#[test]
fn the_element_limit_is_exact() {
    let bytes = encode(&vec![vec![1u8, 2], vec![3]]);
    assert!(decode_within::<Vec<Vec<u8>>>(&bytes, limits(9, 5)).is_ok());
    assert!(decode_within::<Vec<Vec<u8>>>(&bytes, limits(9, 4)).is_err());
    let bytes = encode(&BTreeMap::from([(1u8, (1u8, 2u8)), (2, (3, 4))]));
    assert!(decode_within::<BTreeMap<u8, (u8, u8)>>(&bytes, limits(9, 2)).is_ok());
    assert!(decode_within::<BTreeMap<u8, (u8, u8)>>(&bytes, limits(9, 1)).is_err());
}

#[test]
fn size_hints_are_capped() {
    struct Hint(Option<usize>);
    impl<'de> Deserialize<'de> for Hint {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Look;
            impl<'de> Visitor<'de> for Look {
                type Value = Hint;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a sequence")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Hint, A::Error> {
                    Ok(Hint(seq.size_hint()))
                }
            }
            deserializer.deserialize_seq(Look)
        }
    }
    let hint = |claim: u64, limits| decode_within::<Hint>(&number(claim), limits).unwrap().0.0;
    assert_eq!(hint(10, wide()), Some(10));
    assert_eq!(hint(1 << 40, wide()), Some(MAX_SIZE_HINT));
    assert_eq!(hint(1 << 40, limits(9, 7)), Some(7));
}

#[test]
fn errors_say_nothing_about_the_input() {
    let mut json = serde_json::Deserializer::from_str("[[[\"secret\"]]]");
    let error = guarded::<serde_json::Value, _>(&mut json, limits(2, 9)).unwrap_err();
    assert!(error.to_string().starts_with("value is nested too deeply"));
    let mut json = serde_json::Deserializer::from_str("[\"secret\", \"secret\"]");
    let error = guarded::<serde_json::Value, _>(&mut json, limits(2, 1)).unwrap_err();
    assert!(error.to_string().starts_with("value has too many elements"));
}

#[test]
fn self_describing_formats_are_guarded_as_well() {
    let text = r#"{"children":[{"children":[]},{"children":[{"children":[]}]}],"other":[1,{}]}"#;
    let mut json = serde_json::Deserializer::from_str(text);
    let tree: Tree = guarded(&mut json, wide()).unwrap();
    assert_eq!(tree, serde_json::from_str(text).unwrap());
    let mut json = serde_json::Deserializer::from_str(text);
    let value: serde_json::Value = guarded(&mut json, wide()).unwrap();
    assert_eq!(value, serde_json::from_str::<serde_json::Value>(text).unwrap());
    // Also where a value is skipped, and whatever the type asked for.
    let deep = format!("{{\"children\":[],\"x\":{}1{}}}", "[".repeat(50), "]".repeat(50));
    let mut json = serde_json::Deserializer::from_str(&deep);
    assert!(guarded::<Tree, _>(&mut json, limits(100, 100)).is_ok());
    let mut json = serde_json::Deserializer::from_str(&deep);
    assert!(guarded::<serde_json::Value, _>(&mut json, limits(20, 100)).is_err());
}

#[test]
fn readability_is_forwarded() {
    let text = "\"00000000-0000-0000-0000-00000000004d\"";
    let mut json = serde_json::Deserializer::from_str(text);
    let id: uuid::Uuid = guarded(&mut json, wide()).unwrap();
    assert_eq!(id, uuid::Uuid::from_u128(0x4d));
}

#[test]
fn unread_input_is_reported() {
    let mut bytes = encode(&record());
    let length = bytes.len();
    bytes.extend([0; 3]);
    assert_eq!(decode::<Record>(&bytes).unwrap(), (record(), length));
    let within = Limits::for_input(bytes.len());
    assert_eq!(decode_within::<Record>(&bytes, within).unwrap().1, length);
}

/// A small generator of numbers that look random.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// Bytes that often mean something: small numbers are lengths, variants
    /// and presence.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.next() % 200;
        let small = self.next().is_multiple_of(2);
        (0..length)
            .map(|_| match small && !self.next().is_multiple_of(8) {
                true => (self.next() % 5) as u8,
                false => self.next() as u8,
            })
            .collect()
    }
}

fn assert_survives<T: DeserializeOwned + Serialize>(seed: u64) {
    let mut noise = Noise(seed);
    for _ in 0..2000 {
        let bytes = noise.bytes();
        let limits = Limits::for_input(bytes.len());
        if let Ok((value, read)) = decode_within::<T>(&bytes, limits) {
            assert!(read <= bytes.len());
            encode(&value);
        }
    }
}

#[test]
fn noise_never_panics() {
    assert_survives::<Expr>(1);
    assert_survives::<List>(2);
    assert_survives::<Tree>(3);
    assert_survives::<Record>(4);
    assert_survives::<Vec<String>>(5);
    assert_survives::<BTreeMap<String, Vec<Option<(u8, ())>>>>(6);
    assert_survives::<Vec<(IpAddr, Duration)>>(7);
    assert_survives::<Vec<Vec<()>>>(8);
    assert_survives::<Keyed>(9);
}

#[test]
fn damaged_values_never_panic() {
    let honest = encode(&record());
    let mut noise = Noise(10);
    for _ in 0..5000 {
        let mut bytes = honest.clone();
        let position = noise.next() as usize % bytes.len();
        bytes[position] ^= 1 << (noise.next() % 8);
        let _ = decode_within::<Record>(&bytes, Limits::for_input(bytes.len()));
    }
}
