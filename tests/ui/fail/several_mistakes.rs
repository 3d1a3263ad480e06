use fragkeys::tagged_cache;

#[tagged_cache(
    timeuot = 3600,
    tags = ["User:<usr_id>", "", 7],
    vary_on = [user_id, filtre],
    jitter = 2.0,
    version = 1.5,
    cache_name
)]
fn profile(user_id: u64, filter: &str) -> u64 {
    user_id + filter.len() as u64
}

fn main() {
    let _profile = profile(42, "all");
}
