use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch, inherit_tags)]
async fn names(ids: &[u64]) -> HashMap<u64, String> {
    ids.iter().map(|id| (*id, String::new())).collect()
}

fn main() {}
