use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch = id, lease = true)]
async fn names(ids: &[u64]) -> HashMap<u64, String> {
    ids.iter().map(|id| (*id, id.to_string())).collect()
}

fn main() {
    let _future = names(&[42]);
}
