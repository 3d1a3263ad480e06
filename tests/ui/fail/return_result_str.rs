use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
async fn profile<'a>(name: &'a str) -> Result<&'a str, std::io::Error> {
    Ok(name)
}

fn main() {
    let _future = profile("42");
}
