use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(key = 0, table = "donations")]
struct Donation(u64);

fn main() {
    let _tags = Donation(42).tags();
}
