#![allow(unreachable_pub, reason = "a macro writes modules of types that differ in one thing")]

use std::collections::{BTreeMap, BTreeSet, HashMap, LinkedList, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroI8, NonZeroU32};
use std::rc::Rc;
use std::sync::Arc;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::*;

fn print<T: DeserializeOwned>() -> u128 {
    shape_of::<T>().fingerprint
}

/// Asserts that no two of the named fingerprints are equal.
fn assert_distinct(shapes: &[(&str, u128)]) {
    for (index, (name, shape)) in shapes.iter().enumerate() {
        for (other_name, other) in &shapes[..index] {
            assert_ne!(shape, other, "{name} and {other_name}");
        }
    }
}

macro_rules! distinct {
    ($($shape:ty),* $(,)?) => {
        assert_distinct(&[$((stringify!($shape), print::<$shape>())),*])
    };
}

/// Declares a module with types of its own, so that their names can be reused.
macro_rules! shapes {
    ($($module:ident { $($item:item)* })*) => {$(
        #[allow(dead_code)]
        mod $module {
            use super::*;
            $(#[derive(Deserialize)] $item)*
        }
    )*};
}

shapes! {
    base {
        pub struct S { a: u32, b: String }
        pub enum E { A, B(u32), C(u8, u8), D { x: u8, y: u16 } }
    }
    same {
        pub struct S { a: u32, b: String }
        pub enum E { A, B(u32), C(u8, u8), D { x: u8, y: u16 } }
    }
    swapped { pub struct S { b: String, a: u32 } pub enum E { B(u32), A, C(u8, u8), D { x: u8, y: u16 } } }
    renamed { pub struct S { a: u32, c: String } pub enum E { A, X(u32), C(u8, u8), D { x: u8, y: u16 } } }
    wider { pub struct S { a: u64, b: String } pub enum E { A, B(u64), C(u8, u8), D { x: u8, y: u16 } } }
    signed { pub struct S { a: i32, b: String } pub enum E { A, B(i32), C(u8, u8), D { x: u8, y: u16 } } }
    longer { pub struct S { a: u32, b: String, c: bool } pub enum E { A, B(u32), C(u8, u8), D { x: u8, y: u16 }, F } }
    shorter { pub struct S { a: u32 } pub enum E { A, B(u32), C(u8, u8) } }
    optional { pub struct S { a: Option<u32>, b: String } pub enum E { A, B(Option<u32>), C(u8, u8), D { x: u8, y: u16 } } }
    repeated { pub struct S { a: Vec<u32>, b: String } pub enum E { A, B(Vec<u32>), C(u8, u8), D { x: u8, y: u16 } } }
    second { pub struct S { a: u32, b: Vec<u8> } pub enum E { A, B(u32), C(u8, u16), D { x: u8, y: u16 } } }
    third { pub struct S { a: u32, b: [u8; 4] } pub enum E { A, B(u32), C(u8, u8), D { y: u16, x: u8 } } }
    unit { pub struct S { a: u32, b: () } pub enum E { A, B(), C(u8, u8), D { x: u8, y: u16 } } }
    fourth { pub struct S { a: u32, b: (u8, u8) } pub enum E { A, B(u32), C((u8, u8)), D { x: u8, y: u16 } } }
    fifth { pub struct S { a: u32, b: (u8, u8, u8) } pub enum E { A, B(u32), C(u8, u8, u8), D { x: u8, y: u16 } } }
    sixth { pub struct S(u32, String); pub enum E { A {}, B(u32), C(u8, u8), D { x: u8, y: u16 } } }
    seventh { pub struct S; pub enum E {} }
    eighth { pub struct S {} pub enum E { A } }
    ninth { pub struct S(u32); pub struct T(u32); pub struct U(u32, u32); pub struct V(); }
}

#[test]
fn every_change_to_a_struct_is_seen() {
    distinct![
        base::S,
        swapped::S,
        renamed::S,
        wider::S,
        signed::S,
        longer::S,
        shorter::S,
        optional::S,
        repeated::S,
        second::S,
        third::S,
        unit::S,
        fourth::S,
        fifth::S,
        sixth::S,
        seventh::S,
        eighth::S,
        ninth::S,
        ninth::T,
        ninth::U,
        ninth::V,
    ];
}

#[test]
fn every_change_to_an_enum_is_seen() {
    distinct![
        base::E,
        swapped::E,
        renamed::E,
        wider::E,
        signed::E,
        longer::E,
        shorter::E,
        optional::E,
        repeated::E,
        second::E,
        third::E,
        unit::E,
        fourth::E,
        fifth::E,
        sixth::E,
        seventh::E,
        eighth::E,
    ];
}

#[test]
fn standard_types_are_told_apart() {
    distinct![
        bool, i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64, char, String, (),
        Option<u8>, Option<Option<u8>>, Option<()>, Vec<u8>, Vec<Vec<u8>>, Vec<Option<u8>>,
        Option<Vec<u8>>, BTreeMap<u8, u8>, BTreeMap<u8, u16>, BTreeMap<u16, u8>, Vec<(u8, u8)>,
        (u8,), (u8, u8), (u8, u8, u8), ((u8, u8), u8), (u8, (u8, u8)), [u8; 4], [u16; 4],
        Result<u8, u16>, Result<u16, u8>, Option<Result<u8, u16>>, Vec<Result<u8, u16>>, IpAddr,
        SocketAddr, std::time::Duration, std::time::SystemTime, std::ops::Range<u8>,
        std::ops::RangeInclusive<u8>, std::ops::Bound<u8>, std::ffi::CString, uuid::Uuid,
        chrono::DateTime<chrono::Utc>, serde_json::Value,
    ];
}

#[test]
fn what_serde_cannot_tell_apart_is_equal() {
    assert_eq!(shape_of::<base::S>(), shape_of::<same::S>());
    assert_eq!(shape_of::<base::E>(), shape_of::<same::E>());
    assert_eq!(print::<(base::S, base::S)>(), print::<(base::S, same::S)>());
    assert_eq!(print::<(base::E, base::E)>(), print::<(base::E, same::E)>());
    assert_eq!(print::<u32>(), print::<Box<u32>>());
    assert_eq!(print::<u32>(), print::<Rc<u32>>());
    assert_eq!(print::<u32>(), print::<NonZeroU32>());
    assert_eq!(print::<i8>(), print::<NonZeroI8>());
    assert_eq!(print::<String>(), print::<Arc<str>>());
    assert_eq!(print::<Vec<u8>>(), print::<VecDeque<u8>>());
    assert_eq!(print::<Vec<u8>>(), print::<LinkedList<u8>>());
    assert_eq!(print::<Vec<u8>>(), print::<BTreeSet<u8>>());
    assert_eq!(print::<BTreeMap<u8, u8>>(), print::<HashMap<u8, u8>>());
}

#[test]
fn shapes_are_the_same_every_time() {
    fn again<T: DeserializeOwned>() {
        let first = shape_of::<T>();
        for _ in 0..20 {
            assert_eq!(shape_of::<T>(), first);
        }
    }
    again::<base::S>();
    again::<base::E>();
    again::<Vec<HashMap<String, (base::E, NodeList)>>>();
    again::<ast::Expr>();
    again::<serde_json::Value>();
    let elsewhere = std::thread::spawn(print::<ast::Expr>).join();
    assert_eq!(elsewhere.unwrap(), print::<ast::Expr>());
}

/// Values that other processes must compute as well. A change here makes all
/// persisted keys unreachable, which is only right if it is meant.
#[test]
fn fingerprints_are_stable_across_processes() {
    assert_eq!(print::<u32>(), U32_PRINT);
    assert_eq!(print::<base::S>(), STRUCT_PRINT);
    assert_eq!(print::<base::E>(), ENUM_PRINT);
    assert_eq!(print::<NodeList>(), LIST_PRINT);
}
const U32_PRINT: u128 = 0x1f7a9ea1_eaf8c77c_0a6980f4_6770e8bb;
const STRUCT_PRINT: u128 = 0x17c096be_f62b9f68_9f287ec3_06f27db9;
const ENUM_PRINT: u128 = 0x95156321_d03cad51_1e9dc834_21e8069c;
const LIST_PRINT: u128 = 0x543dea5f_54ea4597_87701cb9_6dd221e6;

#[derive(Deserialize)]
#[allow(dead_code)]
struct NodeList {
    next: Option<Box<NodeList>>,
    value: u32,
}

macro_rules! nested_enums {
    ($($module:ident: $leaf:ty;)*) => {
        shapes! {$(
            $module {
                pub enum Top { X(u8), Y { mid: Mid, other: Mid }, Z }
                pub enum Mid { P, Q(Option<Low>), R(Vec<Low>, u8) }
                pub enum Low { K(String), L { deep: $leaf }, M }
                pub struct Holder { tops: Vec<Top>, after: BTreeMap<String, Option<Mid>> }
            }
        )*}
    };
}
nested_enums! { deep_a: u32; deep_b: u64; deep_c: Option<u32>; deep_d: Result<u8, u32>; deep_e: Result<u8, u64>; }

#[test]
fn enums_in_enums_are_explored_completely() {
    distinct![
        deep_a::Top,
        deep_b::Top,
        deep_c::Top,
        deep_d::Top,
        deep_e::Top,
        deep_a::Holder,
        deep_b::Holder,
        deep_c::Holder,
        deep_d::Holder,
        deep_e::Holder,
        Option<Box<deep_a::Top>>,
        Option<Box<deep_b::Top>>,
        (u8, deep_d::Top),
        (u8, deep_e::Top),
    ];
}

/// Many enums side by side, many variants, and a change in the very last.
macro_rules! wide {
    ($($module:ident: $last:ty;)*) => {
        shapes! {$(
            $module {
                pub enum E {
                    V0, V1(u8), V2(u16), V3(u32), V4(u64), V5 { a: u8 }, V6, V7, V8, V9, V10, V11,
                    V12, V13, V14, V15, V16, V17, V18, V19, V20(Box<Option<E>>), V21($last)
                }
                pub struct Many { a: E, b: Option<E>, c: Vec<E>, d: (E, E), e: Result<E, E> }
            }
        )*}
    };
}
wide! { wide_a: u8; wide_b: u16; }

#[test]
fn wide_enums_are_explored_completely() {
    distinct![wide_a::E, wide_b::E, wide_a::Many, wide_b::Many];
}

shapes! {
    tree {
        pub struct Tree { children: Vec<Tree>, after: u8 }
        pub struct Transparent(Vec<Transparent>);
        #[serde(transparent)] pub struct Nameless { inner: Vec<Nameless> }
        pub struct Keyed { children: BTreeMap<String, Keyed>, after: u8 }
        pub struct Eight {
            a: Vec<Eight>, b: Option<Box<Eight>>, c: Vec<Eight>, d: BTreeMap<u8, Eight>,
            e: Vec<Option<Eight>>, f: Option<Box<Eight>>, g: Box<[Eight]>, h: Vec<Eight>, last: u8
        }
    }
    tree_wider {
        pub struct Tree { children: Vec<Tree>, after: u16 }
        pub struct Transparent(Vec<Option<Transparent>>);
        #[serde(transparent)] pub struct Nameless { inner: Vec<Option<Nameless>> }
        pub struct Keyed { children: BTreeMap<String, Keyed>, after: u16 }
        pub struct Eight {
            a: Vec<Eight>, b: Option<Box<Eight>>, c: Vec<Eight>, d: BTreeMap<u8, Eight>,
            e: Vec<Option<Eight>>, f: Option<Box<Eight>>, g: Box<[Eight]>, h: Vec<Eight>, last: u16
        }
    }
    ast {
        pub enum Expr { Add(Box<Expr>, Box<Expr>), Call { args: Vec<Expr>, block: Box<Stmt> }, Num(i64) }
        pub enum Stmt { If(Expr, Box<Stmt>, Option<Box<Stmt>>), Do(Expr), Let { name: String, value: Item } }
        pub enum Item { Nested(Box<Item>, u8), Func(Box<Expr>, Box<Stmt>, u8), End }
    }
    ast_wider {
        pub enum Expr { Add(Box<Expr>, Box<Expr>), Call { args: Vec<Expr>, block: Box<Stmt> }, Num(i64) }
        pub enum Stmt { If(Expr, Box<Stmt>, Option<Box<Stmt>>), Do(Expr), Let { name: String, value: Item } }
        pub enum Item { Nested(Box<Item>, u8), Func(Box<Expr>, Box<Stmt>, u16), End }
    }
    late_exit {
        pub enum E { A(Box<F>, u8), B(Box<E>, u8) }
        pub enum F { X(Box<E>, u8), Y }
    }
    late_exit_wider {
        pub enum E { A(Box<F>, u8), B(Box<E>, u8) }
        pub enum F { X(Box<E>, u16), Y }
    }
    late_exit_other {
        pub enum E { A(Box<F>, u8), B(Box<E>, u16) }
        pub enum F { X(Box<E>, u8), Y }
    }
    endless {
        pub struct Inf { next: Box<Inf> }
        pub enum Never { A(Box<Never>), B(Box<Never>, u8) }
        pub struct Beside { a: u8, never: Option<Never>, inf: Vec<Inf>, b: u8 }
    }
    endless_wider {
        pub struct Beside { a: u8, never: Option<Never>, inf: Vec<Inf>, b: u16 }
        pub struct Inf { next: Box<Inf> }
        pub enum Never { A(Box<Never>), B(Box<Never>, u8) }
    }
    mutual {
        pub struct A { b: Option<Box<B>>, x: u8 }
        pub struct B { c: Vec<C>, x: u16 }
        pub struct C { a: Box<A>, d: Option<Box<C>>, x: u32 }
    }
    mutual_wider {
        pub struct A { b: Option<Box<B>>, x: u8 }
        pub struct B { c: Vec<C>, x: u16 }
        pub struct C { a: Box<A>, d: Option<Box<C>>, x: u64 }
    }
    generic {
        pub struct Page<T> { items: Vec<T>, more: Option<Box<T>> }
        pub enum Either<A, B> { Left(A), Right(B) }
    }
}

#[test]
fn recursive_types_end_and_are_seen_whole() {
    distinct![
        NodeList,
        tree::Tree,
        tree_wider::Tree,
        tree::Transparent,
        tree_wider::Transparent,
        tree::Nameless,
        tree_wider::Nameless,
        tree::Keyed,
        tree_wider::Keyed,
        tree::Eight,
        tree_wider::Eight,
        ast::Expr,
        ast_wider::Expr,
        ast::Stmt,
        ast_wider::Stmt,
        ast::Item,
        ast_wider::Item,
        late_exit::E,
        late_exit_wider::E,
        late_exit_other::E,
        late_exit::F,
        late_exit_wider::F,
        late_exit_other::F,
        mutual::A,
        mutual_wider::A,
        mutual::B,
        mutual_wider::B,
        mutual::C,
        mutual_wider::C,
        Vec<mutual::C>,
        Vec<mutual_wider::C>,
        endless::Inf,
        endless::Never,
        endless::Beside,
        endless_wider::Beside,
    ];
}

/// A language whose parts all contain each other, with a difference in one of
/// the places that are reached last.
macro_rules! languages {
    ($($module:ident: $a:ty, $b:ty, $c:ty, $d:ty;)*) => {
        shapes! {$(
            $module {
                pub enum Expr {
                    Add(Box<Expr>, Box<Expr>), Call { name: String, args: Vec<Expr>, block: Stmt },
                    Num(i64), Neg(Box<Expr>), If(Box<(Expr, Expr, Expr, $a)>),
                }
                pub enum Stmt {
                    Do(Box<Expr>), While(Box<Expr>, Vec<Stmt>, $b),
                    Let { name: String, ty: Ty, value: Box<Expr> }, End,
                }
                pub enum Ty {
                    Int, Vec(Box<Ty>), Fun(Vec<Ty>, Box<Ty>, $c), Of(Box<Expr>),
                    Record(BTreeMap<String, (Ty, Option<Row>)>),
                }
                pub enum Row { More(Box<Row>, Box<Ty>), Kind(Kind), Last }
                pub enum Kind { Row(Box<Row>), Arrow(Vec<(Kind, Kind)>), Stmt(Box<Stmt>), Star($d) }
            }
        )*}
    };
}
languages! {
    lang_0: u8, u8, u8, u8; lang_a: u16, u8, u8, u8; lang_b: u8, u16, u8, u8;
    lang_c: u8, u8, u16, u8; lang_d: u8, u8, u8, u16;
}

#[test]
fn entangled_recursion_is_explored_completely() {
    distinct![lang_0::Expr, lang_a::Expr, lang_b::Expr, lang_c::Expr, lang_d::Expr];
    distinct![lang_0::Stmt, lang_a::Stmt, lang_b::Stmt, lang_c::Stmt, lang_d::Stmt];
    distinct![lang_0::Ty, lang_a::Ty, lang_b::Ty, lang_c::Ty, lang_d::Ty];
    distinct![lang_0::Row, lang_a::Row, lang_b::Row, lang_c::Row, lang_d::Row];
    distinct![lang_0::Kind, lang_a::Kind, lang_b::Kind, lang_c::Kind, lang_d::Kind];
}

#[test]
fn a_generic_type_within_itself_is_not_taken_for_recursion() {
    use generic::{Either, Page};
    distinct![
        Page<u8>, Page<u16>, Page<Page<u8>>, Page<Page<u16>>, Page<Page<Page<u8>>>,
        Page<Page<Page<u16>>>, (Page<u8>, Page<u16>), (Page<u16>, Page<u8>),
        (Page<u8>, Page<u8>), Either<u8, Either<u8, u8>>, Either<u8, Either<u8, u16>>,
        Either<Either<u8, u16>, Either<u16, u8>>, Either<Either<u16, u8>, Either<u8, u16>>,
        Page<Either<Page<u8>, Page<Either<u8, u8>>>>, Page<Either<Page<u8>, Page<Either<u8, u16>>>>,
    ];
}

/// A recursive type may not be recognised by how often it is spelled out.
#[test]
fn sharing_does_not_show() {
    type Pair<T> = (T, T);
    assert_eq!(print::<Pair<Box<NodeList>>>(), print::<Pair<NodeList>>());
    let (first, second) = (print::<(tree::Tree, Same)>(), print::<(tree::Tree, tree::Tree)>());
    assert_eq!(first, second);

    #[derive(Deserialize)]
    #[serde(rename = "Tree")]
    #[allow(dead_code)]
    struct Same {
        children: Vec<tree::Tree>,
        after: u8,
    }
}

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
