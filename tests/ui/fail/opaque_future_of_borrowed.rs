use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
fn profile(name: &str) -> impl Future<Output = &str> {
    async move { name }
}

fn main() {
    let _future = profile("Ada");
}
