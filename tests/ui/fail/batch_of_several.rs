use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch, tags = ["User:<id>"])]
async fn users(ids: &[u64], columns: Vec<String>) -> HashMap<u64, u64> {
    let _ = columns;
    ids.iter().map(|id| (*id, *id)).collect()
}

fn main() {
    let _future = users(&[1], vec![]);
}
