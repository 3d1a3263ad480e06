use fragkeys::tagged_cache;

#[tagged_cache(timeout = |value, other| 60)]
async fn load(id: u64) -> u64 {
    id
}

fn main() {}
