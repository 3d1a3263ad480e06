use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile(name: &str) -> &str {
    name
}

fn main() {
    let _future = profile("42");
}
