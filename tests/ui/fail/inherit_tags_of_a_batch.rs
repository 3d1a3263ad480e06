use std::collections::HashMap;

use fragkeys::tagged_cache;

#[tagged_cache(batch, inherit_tags)]
async fn names(ids: &[u64]) -> HashMap<u64, String> {
    HashMap::new()
}

fn main() {}
