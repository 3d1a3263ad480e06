//! Arguments may have any name, those of the macro's own ideas and raw ones too.
#![deny(warnings)]
#![forbid(unsafe_code)]

use fragkeys::{Tag, invalidate, tag, tagged_cache};

/// Names that generated code might have used.
#[tagged_cache(tags = ["Key:<key>", Tag::new("Cache", cache)], timeout = value, cache_if = |value| *value > 0)]
async fn names(key: u64, cache: u64, value: u64, call: u64, plan: u64, site: u64) -> u64 {
    let output = key + cache;
    let body = output + value + call;
    body + plan + site
}

/// More of them.
#[tagged_cache]
async fn more_names(this: u64, tag: u64, text: u64, output: u64, name: u64, path: u64) -> u64 {
    this + tag + text + output + name + path
}

/// A keyword is written as in `format!`, or raw.
#[tagged_cache(vary_on = [r#type, r#async], tags = ["Type:<type>", "Async:{r#async}"])]
async fn raw(r#type: u64, r#async: u64) -> u64 {
    r#type + r#async
}

/// A field with such a name.
struct Row {
    r#type: u64,
}

#[tagged_cache(vary_on = [row.r#type], tags = ["Type:<row.type>", "Again:<row.r#type>"])]
async fn raw_field(row: &Row) -> u64 {
    row.r#type
}

fn main() {
    let r#type = 1;
    let _ = tag!("Type:<type>");
    drop(invalidate!("Type:<type>"));
    drop(names(1, 2, 3, 4, 5, 6));
    drop(more_names(1, 2, 3, 4, 5, 6));
    drop(raw(1, 2));
    drop(raw_field(&Row { r#type: 1 }));
}
