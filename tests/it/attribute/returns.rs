//! What functions return, and how their bodies end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use fragkeys::tagged_cache;

use super::{Runs, assert_caches, assert_hits, assert_runs, in_new_cache};

/// A function that returns `$value`, of type `$returned`, and a test that this is cached.
macro_rules! caches {
    ($($name:ident: $returned:ty = $value:expr;)*) => {$(
        #[tokio::test]
        async fn $name() {
            #[tagged_cache(vary_on = [])]
            async fn returned(runs: &Runs) -> $returned {
                runs.add();
                $value
            }
            in_new_cache(async {
                let runs = Runs::default();
                assert_eq!(assert_caches(&runs, || returned(&runs)).await, $value);
            })
            .await;
        }
    )*};
}

type Res<T> = Result<T, MyError>;
type Answer = Result<Vec<u8>, MyError>;

#[derive(Debug, PartialEq)]
struct MyError;

impl From<std::num::ParseIntError> for MyError {
    fn from(_: std::num::ParseIntError) -> Self {
        MyError
    }
}

caches! {
    unit: () = ();
    option_some: Option<u8> = Some(1);
    option_none: Option<u8> = None;
    option_in_option: Option<Option<u8>> = Some(None);
    list: Vec<String> = vec!["a".to_owned(), String::new()];
    map: HashMap<String, u64> = HashMap::from([("a".to_owned(), 1)]);
    shared: Arc<String> = Arc::new("a".to_owned());
    shared_slice: Arc<[u8]> = Arc::from([1, 2]);
    boxed: Box<u64> = Box::new(1);
    tuple: (u8, String, [u16; 2]) = (1, "a".to_owned(), [2, 3]);
    character: char = 'é';
    float: f64 = 0.1;
    wide: u128 = u128::MAX;
    owned_cow: Cow<'static, str> = Cow::Borrowed("a");
    ok: Result<u8, MyError> = Ok(1);
    ok_unit: Result<(), MyError> = Ok(());
    ok_none: Result<Option<u8>, MyError> = Ok(None);
    ok_of_alias: Res<u8> = Ok(1);
    ok_of_alias_without_arguments: Answer = Ok(vec![1]);
    ok_of_path: std::result::Result<u8, MyError> = Ok(1);
    nested_ok: Result<Result<u8, String>, MyError> = Ok(Ok(1));
    nested_error: Result<Result<u8, String>, MyError> = Ok(Err("part of the value".to_owned()));
    result_in_option: Option<Result<u8, String>> = Some(Err("part of the value".to_owned()));
}

#[tokio::test]
async fn io_result() {
    #[tagged_cache(vary_on = [path])]
    async fn size(path: &str, runs: &Runs) -> std::io::Result<u64> {
        runs.add();
        if path.is_empty() {
            return Err(std::io::Error::other("no path"));
        }
        Ok(1)
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_runs(&runs, size("/", &runs)).await.unwrap(), 1);
        assert_eq!(assert_hits(&runs, size("/", &runs)).await.unwrap(), 1);
        assert!(assert_runs(&runs, size("", &runs)).await.is_err());
        assert!(assert_runs(&runs, size("", &runs)).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn error_of_an_alias_is_not_cached() {
    #[tagged_cache(vary_on = [])]
    async fn fails(runs: &Runs) -> Answer {
        runs.add();
        Err(MyError)
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_runs(&runs, fails(&runs)).await, Err(MyError));
        assert_eq!(assert_runs(&runs, fails(&runs)).await, Err(MyError));
    })
    .await;
}

#[tagged_cache(vary_on = [text])]
async fn parsed(text: &str, runs: &Runs) -> Res<u64> {
    runs.add();
    if text == "answer" {
        return Ok(42);
    }
    let number: u64 = text.parse()?;
    Ok(number)
}

#[tokio::test]
async fn question_mark_and_early_return() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || parsed("7", &runs)).await, Ok(7));
        assert_eq!(assert_caches(&runs, || parsed("answer", &runs)).await, Ok(42));
        assert_eq!(assert_runs(&runs, parsed("x", &runs)).await, Err(MyError));
        assert_eq!(assert_runs(&runs, parsed("x", &runs)).await, Err(MyError));
    })
    .await;
}

#[tokio::test]
async fn question_mark_on_an_option() {
    #[tagged_cache(vary_on = [ids])]
    async fn first(ids: &[u64], runs: &Runs) -> Option<u64> {
        runs.add();
        let first = ids.first()?;
        Some(*first)
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || first(&[7], &runs)).await, Some(7));
        assert_eq!(assert_caches(&runs, || first(&[], &runs)).await, None);
    })
    .await;
}

/// It borrows from the argument when the body ran, and owns its text when it was read.
#[tokio::test]
async fn borrowed_cow() {
    #[tagged_cache(vary_on = [text])]
    async fn trimmed<'a>(text: &'a str, runs: &Runs) -> Cow<'a, str> {
        runs.add();
        Cow::Borrowed(text.trim())
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert!(matches!(assert_runs(&runs, trimmed(" a ", &runs)).await, Cow::Borrowed("a")));
        assert_eq!(assert_hits(&runs, trimmed(" a ", &runs)).await, "a");
    })
    .await;
}

/// The error borrows: it is never stored.
#[tokio::test]
async fn borrowed_error() {
    #[tagged_cache(vary_on = [text])]
    async fn number<'a>(text: &'a str, runs: &Runs) -> Result<u64, &'a str> {
        runs.add();
        text.parse().map_err(|_| text)
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_caches(&runs, || number("7", &runs)).await, Ok(7));
        assert_eq!(assert_runs(&runs, number("x", &runs)).await, Err("x"));
        assert_eq!(assert_runs(&runs, number("x", &runs)).await, Err("x"));
    })
    .await;
}

#[tokio::test]
async fn recursion() {
    #[tagged_cache(vary_on = [n])]
    async fn fibonacci(n: u64, runs: &Runs) -> u64 {
        runs.add();
        if n < 2 {
            return n;
        }
        Box::pin(fibonacci(n - 1, runs)).await + Box::pin(fibonacci(n - 2, runs)).await
    }
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(fibonacci(30, &runs).await, 832_040);
        assert_eq!(runs.count(), 31, "each number once");
    })
    .await;
}
