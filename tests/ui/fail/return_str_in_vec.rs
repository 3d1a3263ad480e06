use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(name: &str) -> Vec<(u64, &str)> {
    vec![(42, name)]
}

fn main() {
    let _future = profile("42");
}
