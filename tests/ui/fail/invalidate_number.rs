use fragkeys::invalidate;

fn main() {
    let _future = invalidate!(42);
}
