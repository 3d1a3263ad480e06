use fragkeys::tag;

struct User {
    id: u64,
}

fn main() {
    let user = User { id: 42 };
    let _id = user.id;
    let _tag = tag!("User:<user>");
}
