use fragkeys::tagged_cache;

#[tagged_cache(cache_err = |error: &u8| None)]
async fn load(id: u64) -> u64 {
    id
}

fn main() {}
