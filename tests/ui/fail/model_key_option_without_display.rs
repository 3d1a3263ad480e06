use fragkeys::TaggedModel;

struct Id(u64);

#[derive(TaggedModel)]
#[tagged_model(key = number)]
struct Donation {
    number: Option<Id>,
}

fn main() {
    let _tags = Donation { number: Some(Id(42)) }.tags();
}
