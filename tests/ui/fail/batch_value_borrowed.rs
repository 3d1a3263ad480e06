use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users<'a>(ids: &[u64], name: &'a str) -> HashMap<u64, &'a str> {
    ids.iter().map(|id| (*id, name)).collect()
}

fn main() {
    let _future = users(&[1], "a");
}
