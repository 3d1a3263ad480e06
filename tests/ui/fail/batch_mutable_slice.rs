use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &mut [u64]) -> HashMap<u64, u64> {
    ids.iter().map(|id| (*id, *id)).collect()
}

fn main() {
    let mut ids = [1];
    let _future = users(&mut ids);
}
