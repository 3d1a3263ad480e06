//! The same GET without the box that `query_async` makes.

use redis::{FromRedisValue, cmd};

use super::{Entrant, Place, connect, fill};
use crate::value;

pub async fn open(url: &str) -> Entrant {
    let key = |id| format!("packed:page:{id}");
    let mut connection = connect(url, true).await;
    fill(&mut connection, key).await;
    Entrant::new("raw GET by send_packed_command + decode", Place::Redis, move |id| {
        let mut connection = connection.clone();
        async move {
            let mut get = cmd("GET");
            get.arg(key(id));
            let reply = connection.send_packed_command(&get).await.expect("our own server");
            let bytes = Vec::<u8>::from_redis_value(reply).expect("a text");
            value::decode(&bytes)
        }
    })
}
