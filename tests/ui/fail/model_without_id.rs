use fragkeys::TaggedModel;

#[derive(TaggedModel)]
struct Donation {
    number: u64,
}

fn main() {
    let donation = Donation { number: 42 };
    let _future = donation.invalidate();
    let _future = Donation::invalidate_key(42);
}
