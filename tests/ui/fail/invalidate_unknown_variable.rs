use fragkeys::invalidate;

fn main() {
    let _future = invalidate!("User:<user_id>");
}
