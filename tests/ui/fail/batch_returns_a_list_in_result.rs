use fragkeys::tagged_cache;

#[tagged_cache(batch)]
async fn users(ids: &[u64]) -> Result<Vec<u64>, std::io::Error> {
    Ok(ids.to_vec())
}

fn main() {
    let _future = users(&[1]);
}
