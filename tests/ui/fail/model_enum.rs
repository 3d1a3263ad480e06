use fragkeys::TaggedModel;

#[derive(TaggedModel)]
enum Donation {
    Once { id: u64 },
}

fn main() {
    let donation = Donation::Once { id: 42 };
    let _tags = donation.tags();
}
