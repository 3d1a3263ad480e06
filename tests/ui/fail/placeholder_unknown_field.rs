use fragkeys::tagged_cache;

struct User {
    id: u64,
}

#[tagged_cache(tags = ["User:<user.ident>"], vary_on = [user.id])]
async fn profile(user: User) -> u64 {
    user.id
}

fn main() {
    let _future = profile(User { id: 42 });
}
