use std::collections::HashMap;

use fragkeys::tagged_cache;

#[derive(Clone, PartialEq, Eq, serde::Serialize)]
struct Id(u64);

#[tagged_cache(batch)]
async fn users(ids: &[Id]) -> HashMap<Id, u64> {
    let _ = ids;
    HashMap::default()
}

fn main() {
    let _future = users(&[Id(1)]);
}
