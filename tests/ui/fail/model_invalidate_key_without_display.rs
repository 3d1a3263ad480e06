use fragkeys::TaggedModel;

struct Id(u64);

#[derive(TaggedModel)]
struct Donation {
    id: u64,
}

fn main() {
    let _future = Donation::invalidate_key(Id(42));
}
