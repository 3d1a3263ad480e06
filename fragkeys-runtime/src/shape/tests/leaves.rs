//! Leaves that validate what they get, and types that only some formats hold.

use super::*;

macro_rules! followed_by {
    ($($module:ident: $last:ty;)*) => {
        shapes! {$(
            $module {
                pub struct After<T> { first: T, second: T, last: $last }
                pub struct Chosen<T> { first: Vec<T>, last: $last }
            }
        )*}
    };
}
followed_by! { then_u8: u8; then_u16: u16; }

/// Asserts that what comes after a `T` is still seen.
fn assert_passable<T: DeserializeOwned>() {
    let name = std::any::type_name::<T>();
    assert_ne!(print::<then_u8::After<T>>(), print::<then_u16::After<T>>(), "{name}");
    assert_ne!(print::<then_u8::Chosen<T>>(), print::<then_u16::Chosen<T>>(), "{name}");
    assert!(!shape_of::<then_u8::After<T>>().self_describing_only, "{name}");
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Email(#[allow(dead_code)] String);

impl TryFrom<String> for Email {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('@') { Ok(Email(text)) } else { Err("not an address") }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u8")]
struct Even(#[allow(dead_code)] u8);

impl TryFrom<u8> for Even {
    type Error = &'static str;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        if number.is_multiple_of(2) { Ok(Even(number)) } else { Err("odd") }
    }
}

#[test]
fn what_follows_a_validated_leaf_is_seen() {
    assert_passable::<NonZeroU32>();
    assert_passable::<char>();
    assert_passable::<uuid::Uuid>();
    assert_passable::<IpAddr>();
    assert_passable::<SocketAddr>();
    assert_passable::<chrono::DateTime<chrono::Utc>>();
    assert_passable::<chrono::DateTime<chrono::FixedOffset>>();
    assert_passable::<chrono::NaiveDate>();
    assert_passable::<chrono::NaiveTime>();
    assert_passable::<chrono::NaiveDateTime>();
    assert_passable::<chrono::TimeDelta>();
    assert_passable::<chrono::Month>();
    assert_passable::<chrono::Weekday>();
    assert_passable::<std::time::SystemTime>();
    assert_passable::<std::path::PathBuf>();
    assert_passable::<std::ffi::OsString>();
    assert_passable::<std::ffi::CString>();
    assert_passable::<Email>();
    assert_passable::<Even>();
    assert_passable::<(Email, String, Even, u8, IpAddr)>();
    assert_passable::<Result<Email, Even>>();
    assert_passable::<BTreeMap<Email, ()>>();
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Email {}
impl PartialOrd for Email {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Email {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// Refuses everything.
struct Picky<const N: usize>;

impl<'de, const N: usize> Deserialize<'de> for Picky<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        Err(serde::de::Error::custom("no"))
    }
}

#[test]
fn a_type_that_takes_nothing_is_seen_up_to_there() {
    distinct![
        Picky<0>,
        (u8, Picky<0>),
        (u16, Picky<0>),
        (Picky<0>, u8),
        Option<Picky<0>>,
        Vec<Picky<0>>,
        (Option<Picky<0>>, u8),
        (Option<Picky<0>>, u16),
        (Vec<Picky<0>>, u8),
        (Vec<Picky<0>>, u16),
        (Result<Picky<0>, u8>, u8),
        (Result<Picky<0>, u8>, u16),
        (Result<Picky<0>, u16>, u8),
        (Option<(base::E, Picky<0>)>, u8),
        (Option<(wider::E, Picky<0>)>, u8),
        (Option<(third::E, Picky<0>)>, u16),
        (Option<(third::E, Picky<0>)>, u8),
    ];
    // Nothing can be told about what comes after it.
    assert_eq!(print::<(Picky<0>, u8)>(), print::<(Picky<0>, u16)>());
}

/// Supports nothing but maps where a struct is asked for.
struct MapOnly;

impl<'de> Deserialize<'de> for MapOnly {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps;
        impl<'de> Visitor<'de> for OnlyMaps {
            type Value = MapOnly;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<MapOnly, A::Error> {
                Ok(MapOnly)
            }
        }
        deserializer.deserialize_struct("MapOnly", &["a", "b"], OnlyMaps)
    }
}

#[test]
fn a_struct_that_only_takes_maps_ends_there() {
    distinct![MapOnly, (u8, MapOnly), (MapOnly, u8), base::S];
    assert!(!shape_of::<MapOnly>().self_describing_only);
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Untagged {
    A(u8),
    B(String),
}

#[derive(Deserialize)]
#[serde(tag = "t")]
#[allow(dead_code)]
enum Tagged {
    A { x: u8 },
    B { y: String },
}

#[derive(Deserialize)]
#[serde(tag = "t", content = "c")]
#[allow(dead_code)]
enum Adjacent {
    A(u8),
    B(String),
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct FlatStruct {
    a: u8,
    #[serde(flatten)]
    rest: FlatRest,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct FlatRest {
    b: u8,
}

#[test]
fn types_that_need_self_description_are_marked() {
    fn marked<T: DeserializeOwned>() -> bool {
        let marked = shape_of::<T>().self_describing_only;
        assert_eq!(shape_of::<(u8, Vec<T>)>().self_describing_only, marked);
        assert_eq!(shape_of::<Result<u8, T>>().self_describing_only, marked);
        assert_eq!(shape_of::<Option<Box<T>>>().self_describing_only, marked);
        marked
    }
    assert!(marked::<serde_json::Value>());
    assert!(marked::<Untagged>());
    assert!(marked::<Tagged>());
    assert!(marked::<Adjacent>());
    assert!(marked::<Flat>());
    assert!(marked::<FlatStruct>());
    assert!(marked::<rust_decimal::Decimal>());
    assert!(!marked::<base::S>());
    assert!(!marked::<base::E>());
    assert!(!marked::<ast::Expr>());
    assert!(!marked::<serde::de::IgnoredAny>());
    assert!(!marked::<Picky<0>>());
}

shapes! {
    buffers {
        pub struct Str { #[serde(deserialize_with = "str_length")] a: usize }
        pub struct Bytes { #[serde(deserialize_with = "bytes_length")] a: usize }
        pub struct ByteBuf { #[serde(deserialize_with = "byte_buf_length")] a: usize }
        pub struct Text { a: String }
    }
}

macro_rules! lengths {
    ($($function:ident: $method:ident, $visit:ident, $type:ty;)*) => {$(
        fn $function<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
            struct Length;
            impl Visitor<'_> for Length {
                type Value = usize;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a buffer")
                }
                fn $visit<E>(self, value: $type) -> Result<usize, E> {
                    Ok(value.len())
                }
            }
            deserializer.$method(Length)
        }
    )*};
}
lengths! {
    str_length: deserialize_str, visit_str, &str;
    bytes_length: deserialize_bytes, visit_bytes, &[u8];
    byte_buf_length: deserialize_byte_buf, visit_byte_buf, Vec<u8>;
}

#[test]
fn buffers_are_told_apart() {
    distinct![buffers::Str, buffers::Bytes, buffers::ByteBuf, buffers::Text];
}

/// Wraps its parameter eight times, side by side.
type Octo<T> = (T, T, T, T, T, T, T, T);

#[test]
fn exponential_types_are_cut_off() {
    type Deep<T> = Octo<Box<T>>;
    type Huge<T> = Deep<Deep<Deep<Deep<Deep<Deep<Vec<T>>>>>>>;
    assert_eq!(print::<Box<Huge<u8>>>(), print::<Box<Huge<u8>>>());
    assert_ne!(print::<Box<Huge<u8>>>(), print::<Box<Huge<u16>>>());
}

#[test]
fn a_deep_type_is_seen_to_its_end() {
    type Five<T> = Vec<Option<Vec<Option<Vec<T>>>>>;
    distinct![Five<Five<Five<Five<Five<u8>>>>>, Five<Five<Five<Five<Five<u16>>>>>];
}

#[test]
fn leaves_of_one_type_may_be_validated_differently() {
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Dates<T> {
        a: chrono::DateTime<chrono::Utc>,
        b: chrono::NaiveDate,
        c: Option<chrono::DateTime<chrono::Utc>>,
        d: Email,
        e: String,
        f: Vec<(Email, Even, chrono::NaiveTime)>,
        last: T,
    }
    distinct![Dates<u8>, Dates<u16>, Dates<Dates<u8>>, Dates<Dates<u16>>];
}
