use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(list: &[u64]) -> HashMap<u64, u64> {
    list.iter().map(|id| (*id, *id)).collect()
}

fn main() {
    let _future = users(&[1]);
}
