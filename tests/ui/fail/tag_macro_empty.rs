use fragkeys::tag;

fn main() {
    let _tag = tag!();
}
