//! I4: argument values that other encodings mix up.

use fragkeys::tagged_cache;
use serde::Serialize;

use super::{Runs, assert_hits, assert_runs, in_new_cache};

/// Calls with each row: all of them run the body, and then all of them are answered alike.
async fn assert_distinct<A, F>(rows: Vec<A>, call: impl Fn(A, &'static Runs) -> F)
where
    A: Clone,
    F: Future<Output = String>,
{
    let runs: &'static Runs = Box::leak(Box::default());
    in_new_cache(async {
        let mut answers = Vec::new();
        for row in rows.clone() {
            answers.push(assert_runs(runs, call(row, runs)).await);
        }
        for (row, answer) in rows.into_iter().zip(answers) {
            assert_eq!(assert_hits(runs, call(row, runs)).await, answer);
        }
    })
    .await;
}

const HOSTILE: [&str; 22] = [
    "",
    " ",
    "\0",
    "\0\0",
    "a",
    "A",
    "a ",
    "é",
    "e\u{301}",
    ":",
    "::",
    r"\",
    r"\:",
    "*",
    "=",
    "<a>",
    "{a}",
    "_",
    "None",
    "null",
    "\n",
    "\u{202e}a",
];

#[tagged_cache(vary_on = [a, b])]
async fn two(a: &str, b: &str, runs: &Runs) -> String {
    runs.add();
    format!("{a:?} {b:?}")
}

#[tokio::test]
async fn texts_that_join_to_the_same() {
    let mut rows = vec![("a", "bc"), ("ab", "c"), ("abc", ""), ("", "abc")];
    rows.extend([("1_b", "2"), ("1", "b_2"), ("1_b_2", ""), ("a,b", "c"), ("a", "b,c")]);
    rows.extend([("a\0b", "c"), ("a", "b\0c"), (r#"a","b"#, "c"), ("a", r#"b","c"#)]);
    assert_distinct(rows, |(a, b), runs| two(a, b, runs)).await;
}

#[tokio::test]
async fn hostile_texts() {
    let rows = HOSTILE.iter().flat_map(|a| HOSTILE.map(|b| (*a, b))).collect();
    assert_distinct(rows, |(a, b), runs| two(a, b, runs)).await;
}

#[tokio::test]
async fn long_texts_that_differ_at_the_end() {
    let long = "x".repeat(100_000);
    let rows = vec![long.clone(), format!("{long}y"), format!("{long}z")];
    assert_distinct(rows, |a, runs| async move { two(&a, "", runs).await.len().to_string() + &a })
        .await;
}

#[tagged_cache(vary_on = [value])]
async fn optional(value: Option<&str>, runs: &Runs) -> String {
    runs.add();
    format!("{value:?}")
}

#[tokio::test]
async fn none_is_no_text() {
    let rows = vec![None, Some(""), Some("None"), Some("null"), Some("Some"), Some("\0")];
    assert_distinct(rows, optional).await;
}

#[tagged_cache(vary_on = [lists])]
async fn nested(lists: Vec<Vec<u8>>, runs: &Runs) -> String {
    runs.add();
    format!("{lists:?}")
}

#[tokio::test]
async fn lists_that_flatten_to_the_same() {
    let rows = vec![
        vec![],
        vec![vec![]],
        vec![vec![], vec![]],
        vec![vec![1, 2], vec![]],
        vec![vec![1], vec![2]],
        vec![vec![], vec![1, 2]],
        vec![vec![1, 2]],
        vec![vec![2, 1]],
    ];
    assert_distinct(rows, nested).await;
}

#[derive(Clone, Debug, Serialize)]
enum Filter {
    All,
    Named(String),
    Id(u64),
    Range { from: u64, to: u64 },
}

#[tagged_cache(vary_on = [filter, flag])]
async fn filtered(filter: Filter, flag: Option<bool>, runs: &Runs) -> String {
    runs.add();
    format!("{filter:?} {flag:?}")
}

#[tokio::test]
async fn enums() {
    let filters = [
        Filter::All,
        Filter::Named("All".to_owned()),
        Filter::Named("1".to_owned()),
        Filter::Id(1),
        Filter::Range { from: 1, to: 2 },
        Filter::Range { from: 2, to: 1 },
    ];
    let flags = [None, Some(false), Some(true)];
    let rows = filters.iter().flat_map(|filter| flags.map(|flag| (filter.clone(), flag)));
    assert_distinct(rows.collect(), |(filter, flag), runs| filtered(filter, flag, runs)).await;
}

#[tagged_cache(vary_on = [value])]
async fn number<T: Serialize + std::fmt::Debug>(value: T, runs: &Runs) -> String {
    runs.add();
    format!("{value:?}")
}

#[tokio::test]
async fn numbers() {
    assert_distinct(vec![0.0, -0.0, 1.0, f64::MIN_POSITIVE, f64::INFINITY, 0.1 + 0.2, 0.3], number)
        .await;
    assert_distinct(vec![0, 1, -1, i64::MAX, i64::MIN, 256, 1 << 32], number).await;
    assert_distinct(vec![0, u128::from(u64::MAX), u128::MAX, 1 << 64], number).await;
}

#[tagged_cache(vary_on = [], tags = ["Pair:<a>:<b>", "Joined:<a><b>"])]
async fn in_tags(a: &str, b: &str, runs: &Runs) -> String {
    runs.add();
    format!("{a:?} {b:?}")
}

/// The values of placeholders are told apart though they are in no `vary_on`.
#[tokio::test]
async fn values_in_tags() {
    let rows = HOSTILE.iter().flat_map(|a| HOSTILE.map(|b| (*a, b))).collect();
    assert_distinct(rows, |(a, b), runs| in_tags(a, b, runs)).await;
}

/// What a function varies on is part of what it is: a new program that varies on something
/// else, or in another order, does not read the old one's entries.
#[tokio::test]
async fn what_a_function_varies_on() {
    mod by_first {
        #[fragkeys::tagged_cache(vary_on = [a], key_name = "varies")]
        pub(super) async fn get(a: u64, b: u64) -> String {
            format!("first {a}, not {b}")
        }
    }
    mod by_second {
        #[fragkeys::tagged_cache(vary_on = [b], key_name = "varies")]
        pub(super) async fn get(a: u64, b: u64) -> String {
            format!("second {b}, not {a}")
        }
    }
    mod in_order {
        #[fragkeys::tagged_cache(key_name = "subtracts")]
        pub(super) async fn get(a: i64, b: i64) -> i64 {
            a - b
        }
    }
    mod swapped {
        #[fragkeys::tagged_cache(key_name = "subtracts")]
        pub(super) async fn get(b: i64, a: i64) -> i64 {
            a - b
        }
    }
    in_new_cache(async {
        assert_eq!(by_first::get(1, 2).await, "first 1, not 2");
        assert_eq!(by_second::get(5, 1).await, "second 1, not 5");
        assert_eq!(in_order::get(1, 10).await, -9);
        assert_eq!(swapped::get(1, 10).await, 9);
    })
    .await;
}

/// Closures of one function have one name, and types of two blocks as well.
#[tokio::test]
async fn generic_arguments_that_have_one_name() {
    #[fragkeys::tagged_cache(vary_on = [value])]
    async fn apply<F: Fn(u64) -> u64>(value: u64, f: F) -> u64 {
        f(value)
    }
    #[fragkeys::tagged_cache]
    async fn size<T>() -> usize {
        size_of::<T>()
    }
    in_new_cache(async {
        assert_eq!(apply(1, |value| value + 1).await, 2);
        assert_eq!(apply(1, |value| value * 100).await, 100);
        let small = {
            struct Local(#[allow(dead_code)] u8);
            size::<Local>().await
        };
        let large = {
            struct Local(#[allow(dead_code)] u64);
            size::<Local>().await
        };
        assert_eq!((small, large), (1, 8));
    })
    .await;
}
