use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch = true)]
async fn users(ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

fn main() {
    let _future = users(&[1]);
}
