//! A GET by hand and its decoding: what everything else is compared with.

use redis::cmd;

use super::{Entrant, Place, connect, fill};
use crate::value;

pub const NAME: &str = "raw GET + decode";
/// The driver's default, and what `cached` and `hitbox` cannot change.
pub const NAME_WITH_NAGLE: &str = "raw GET + decode, without TCP_NODELAY";

pub async fn open(url: &str, name: &'static str, nodelay: bool) -> Entrant {
    let key = |id| format!("raw:page:{id}");
    let mut connection = connect(url, nodelay).await;
    fill(&mut connection, key).await;
    Entrant::new(name, Place::Redis, move |id| {
        let mut connection = connection.clone();
        async move {
            let get = cmd("GET").arg(key(id)).clone();
            let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("our own server");
            value::decode(&bytes)
        }
    })
}
