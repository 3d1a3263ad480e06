use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &[impl Clone]) -> HashMap<u64, u64> {
    let _ = ids;
    HashMap::new()
}

fn main() {
    let _future = users(&[1]);
}
