use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch = user)]
async fn users(ids: &[u64], columns: &[String]) -> HashMap<u64, u64> {
    let _ = columns;
    ids.iter().map(|id| (*id, *id)).collect()
}

fn main() {
    let _future = users(&[1], &[]);
}
