use fragkeys::TaggedModel;

#[derive(TaggedModel)]
struct Row<Id> {
    id: Id,
}

fn main() {
    let _tags = Row { id: 42 }.tags();
}
