use fragkeys::tagged_cache;

#[tagged_cache(cache_err = |error| None)]
async fn load(id: u64) -> Result<u64, std::fmt::Error> {
    Ok(id)
}

fn main() {}
