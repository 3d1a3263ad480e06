use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &[u64]) -> Vec<u64> {
    ids.to_vec()
}

fn main() {
    let _future = users(&[1]);
}
