use fragkeys::tagged_cache;

#[tagged_cache(batch, cache_err = |error| None)]
async fn load(ids: &[u64]) -> Result<std::collections::HashMap<u64, u64>, u8> {
    Ok(ids.iter().map(|id| (*id, *id)).collect())
}

fn main() {}
