use fragkeys::TaggedModel;

#[derive(TaggedModel)]
union Donation {
    id: u64,
}

fn main() {
    let _future = Donation { id: 42 }.invalidate();
}
