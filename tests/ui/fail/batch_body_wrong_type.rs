use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &[u64]) -> HashMap<u64, u64> {
    ids.len()
}

fn main() {
    let _future = users(&[1]);
}
