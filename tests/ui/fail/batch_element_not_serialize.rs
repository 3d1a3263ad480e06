use std::collections::HashMap;

use fragkeys::tagged_cache;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Id(u64);

#[tagged_cache(batch)]
async fn users(ids: &[Id]) -> HashMap<Id, u64> {
    ids.iter().map(|id| (id.clone(), id.0)).collect()
}

fn main() {
    let _future = users(&[Id(1)]);
}
