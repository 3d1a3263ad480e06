use std::collections::HashMap;

use fragkeys::tagged_cache;

struct User;

#[tagged_cache(batch)]
async fn users(ids: &[u64]) -> HashMap<u64, User> {
    ids.iter().map(|id| (*id, User)).collect()
}

fn main() {
    let _future = users(&[1]);
}
