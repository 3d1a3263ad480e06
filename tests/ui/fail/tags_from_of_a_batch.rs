use std::collections::HashMap;

use fragkeys::{Tag, tagged_cache};

#[tagged_cache(batch, tags_from = |name: &String| [Tag::new("Name", name)])]
async fn names(ids: &[u64]) -> HashMap<u64, String> {
    HashMap::new()
}

fn main() {}
