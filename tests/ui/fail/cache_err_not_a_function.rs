use fragkeys::tagged_cache;

#[tagged_cache(cache_err = 60)]
async fn load(id: u64) -> Result<u64, u8> {
    Ok(id)
}

fn main() {}
