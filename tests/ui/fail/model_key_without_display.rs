use fragkeys::TaggedModel;

struct Id(u64);

#[derive(TaggedModel)]
struct Donation {
    id: Id,
}

fn main() {
    let _tags = Donation { id: Id(42) }.tags();
}
