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

mod leaves;

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
