//! What becomes of a function's future.

use fragkeys::tagged_cache;

async fn body() -> u8 {
    let large = [0_u8; 8_192];
    tokio::task::yield_now().await;
    large[7]
}

#[tagged_cache(tags = ["User:<id>"])]
async fn cached(id: u64) -> u8 {
    let _ = id;
    body().await
}

/// The body's future is held once, and moved once on its way.
#[test]
fn a_cached_functions_future_is_not_much_larger_than_its_bodys() {
    let (plain, cached) = (size_of_val(&body()), size_of_val(&cached(1)));
    assert!(cached < 3 * plain, "{cached} bytes for {plain}");
    println!("{cached} bytes for {plain}");
}
