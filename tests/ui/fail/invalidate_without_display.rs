use fragkeys::invalidate;

struct User {
    id: u64,
}

fn main() {
    let user = User { id: 42 };
    let _id = user.id;
    let _future = invalidate!("User:<user>");
}
