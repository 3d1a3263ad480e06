use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &[u64]) -> HashMap<u32, u64> {
    ids.iter().map(|id| (*id as u32, *id)).collect()
}

fn main() {
    let _future = users(&[1]);
}
