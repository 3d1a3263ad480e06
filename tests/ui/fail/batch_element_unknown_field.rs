use std::collections::HashMap;

use fragkeys::tagged_cache;

#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Id {
    number: u64,
}

#[tagged_cache(batch, tags = ["Tenant:<id.tenant>"])]
async fn users(ids: &[Id]) -> HashMap<Id, u64> {
    ids.iter().map(|id| (id.clone(), id.number)).collect()
}

fn main() {
    let _future = users(&[Id { number: 1 }]);
}
