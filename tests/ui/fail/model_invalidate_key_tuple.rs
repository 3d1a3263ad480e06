use fragkeys::TaggedModel;

#[derive(TaggedModel)]
struct Donation {
    id: u64,
}

fn main() {
    let _future = Donation::invalidate_key((1, 2));
}
