use std::collections::HashMap;

use fragkeys::tagged_cache;

struct Users;

impl Users {
    #[tagged_cache(batch, tags = ["User:<id>"])]
    async fn all(&self, ids: &[u64]) -> HashMap<u64, u64> {
        ids.iter().map(|id| (*id, *id)).collect()
    }
}

fn main() {
    let _future = Users.all(&[1]);
}
