//! I4: a function whose return type got another shape does not read the old one's entries.
//!
//! Two modules with one `key_name` stand for two releases of a program.

use super::{Runs, assert_hits, assert_runs, in_new_cache};

/// Two releases whose functions return `$old` and `$new`, and a test that they are apart.
macro_rules! apart {
    ($($name:ident: {$($old:tt)*} $old_value:expr, {$($new:tt)*} $new_value:expr;)*) => {$(
        mod $name {
            apart!(@release old, $name, {$($old)*} $old_value);
            apart!(@release new, $name, {$($new)*} $new_value);

            #[tokio::test]
            async fn is_another_identity() {
                super::in_new_cache(async {
                    let runs = super::Runs::default();
                    let old = super::assert_runs(&runs, old::load(&runs)).await;
                    let new = super::assert_runs(&runs, new::load(&runs)).await;
                    assert_eq!(super::assert_hits(&runs, old::load(&runs)).await, old);
                    assert_eq!(super::assert_hits(&runs, new::load(&runs)).await, new);
                })
                .await;
            }
        }
    )*};
    (@release $release:ident, $name:ident, {$($returned:tt)*} $value:expr) => {
        mod $release {
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            $($returned)*

            #[fragkeys::tagged_cache(vary_on = [], key_name = "shape")]
            pub(super) async fn load(runs: &crate::attribute::Runs) -> Row {
                runs.add();
                $value
            }
        }
    };
}

apart! {
    reordered_fields:
        { pub(super) struct Row { a: u8, b: u8 } } Row { a: 1, b: 2 },
        { pub(super) struct Row { b: u8, a: u8 } } Row { b: 2, a: 1 };
    retyped_field:
        { pub(super) struct Row { width: u32 } } Row { width: 1 },
        { pub(super) struct Row { width: i32 } } Row { width: 1 };
    renamed_field:
        { pub(super) struct Row { id: u16 } } Row { id: 1 },
        { pub(super) struct Row { user_id: u16 } } Row { user_id: 1 };
    removed_field:
        { pub(super) struct Row { x: u64, y: u64 } } Row { x: 1, y: 2 },
        { pub(super) struct Row { x: u64 } } Row { x: 1 };
    added_optional_field:
        { pub(super) struct Row { p: u64 } } Row { p: 1 },
        { pub(super) struct Row { p: u64, q: Option<u64> } } Row { p: 1, q: None };
    tuple_for_fields:
        { pub(super) struct Row { l: i8, m: i8 } } Row { l: 1, m: 2 },
        { pub(super) struct Row(i8, i8); } Row(1, 2);
    reordered_variants:
        { pub(super) enum Row { On, Off } } Row::On,
        { pub(super) enum Row { Off, On } } Row::On;
    added_variant:
        { pub(super) enum Row { Low, High } } Row::High,
        { pub(super) enum Row { Low, Middle, High } } Row::High;
    renamed_by_serde:
        { pub(super) struct Row { name: String } } Row { name: "a".to_owned() },
        { pub(super) struct Row { #[serde(rename = "label")] name: String } } Row { name: "a".to_owned() };
    list_for_option:
        { pub(super) struct Row { found: Option<i16> } } Row { found: Some(1) },
        { pub(super) struct Row { found: Vec<i16> } } Row { found: vec![1] };
    reordered_fields_inside:
        {
            pub(super) struct Row { rows: Vec<Inner> }
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            struct Inner { a: f32, b: f32 }
        } Row { rows: vec![Inner { a: 1.0, b: 2.0 }] },
        {
            pub(super) struct Row { rows: Vec<Inner> }
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            struct Inner { b: f32, a: f32 }
        } Row { rows: vec![Inner { b: 2.0, a: 1.0 }] };
}

mod user {
    #[fragkeys::tagged_cache(vary_on = [id], key_name = "same")]
    pub(super) async fn get(id: u64, runs: &super::Runs) -> String {
        runs.add();
        format!("user {id}")
    }
}

mod order {
    #[fragkeys::tagged_cache(vary_on = [id], key_name = "same")]
    pub(super) async fn get(id: u64, runs: &super::Runs) -> (u64, bool) {
        runs.add();
        (id, true)
    }
}

mod maybe_order {
    #[fragkeys::tagged_cache(vary_on = [id], key_name = "same")]
    pub(super) async fn get(id: u64, runs: &super::Runs) -> Option<(u64, bool)> {
        runs.add();
        Some((id, true))
    }
}

#[tokio::test]
async fn two_functions_of_one_key_name() {
    in_new_cache(async {
        let runs = Runs::default();
        assert_eq!(assert_runs(&runs, user::get(7, &runs)).await, "user 7");
        assert_eq!(assert_runs(&runs, order::get(7, &runs)).await, (7, true));
        assert_eq!(assert_runs(&runs, maybe_order::get(7, &runs)).await, Some((7, true)));
        assert_eq!(assert_hits(&runs, user::get(7, &runs)).await, "user 7");
        assert_eq!(assert_hits(&runs, order::get(7, &runs)).await, (7, true));
        assert_eq!(assert_hits(&runs, maybe_order::get(7, &runs)).await, Some((7, true)));
    })
    .await;
}
