use fragkeys::TaggedModel;

#[derive(TaggedModel)]
#[tagged_model(columns = [id = "number"])]
struct Donation {
    id: u64,
}

fn main() {
    let _tags = Donation { id: 42 }.tags();
}
