use fragkeys::tagged_cache;

#[tagged_cache(timeout = 60)]
struct Profile {
    user_id: u64,
}

fn main() {
    let _profile = Profile { user_id: 42 };
}
