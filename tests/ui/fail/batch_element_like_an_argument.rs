use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(id: u64, ids: &[u64]) -> HashMap<u64, u64> {
    ids.iter().map(|other| (*other, id)).collect()
}

fn main() {
    let _future = users(1, &[1]);
}
