use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(id: u64, name: &str) -> HashMap<u64, u64> {
    [(id, name.len() as u64)].into()
}

fn main() {
    let _future = users(1, "a");
}
