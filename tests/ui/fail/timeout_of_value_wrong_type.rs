use fragkeys::tagged_cache;

#[tagged_cache(timeout = |value| "an hour")]
async fn load(id: u64) -> u64 {
    id
}

fn main() {}
