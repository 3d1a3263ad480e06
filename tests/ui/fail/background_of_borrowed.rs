use fragkeys::tagged_cache;

#[tagged_cache(stale_while_revalidate = 60, background = true)]
async fn profile(name: &str) -> u64 {
    name.len() as u64
}

fn main() {
    let _future = profile("Ada");
}
