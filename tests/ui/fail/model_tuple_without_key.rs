use fragkeys::TaggedModel;

#[derive(TaggedModel)]
struct Donation(u64);

fn main() {
    let _tags = Donation(42).tags();
}
