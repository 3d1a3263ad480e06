use fragkeys::tagged_cache;

#[tagged_cache(batch, stale_if_error = 60)]
async fn profiles(user_ids: &[u64]) -> std::collections::HashMap<u64, u64> {
    user_ids.iter().map(|user_id| (*user_id, 1)).collect()
}

fn main() {
    let _future = profiles(&[42]);
}
