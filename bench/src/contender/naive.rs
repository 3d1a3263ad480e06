//! Tags as they are usually done by hand: read the versions, then the entry under them.

use redis::cmd;

use super::{Entrant, Place, connect, fill};
use crate::value::{self, Size};

pub async fn open(url: &str) -> Entrant {
    let mut connection = connect(url, true).await;
    fill(&mut connection, |id| format!("naive:page:{id}:7:7")).await;
    let ids = Size::Small.ids().chain(Size::Large.ids());
    for tag in ids.map(|id| id.to_string()).chain(["all".to_owned()]) {
        let set = cmd("SET").arg(format!("naive:tag:{tag}")).arg(7).clone();
        set.exec_async(&mut connection).await.expect("our own server");
    }
    Entrant::new("MGET of 2 versions, then GET + decode", Place::Redis, move |id| {
        let mut connection = connection.clone();
        async move {
            let tag = format!("naive:tag:{id}");
            let mget = cmd("MGET").arg(tag).arg("naive:tag:all").clone();
            let (own, all): (u64, u64) =
                mget.query_async(&mut connection).await.expect("our own server");
            let get = cmd("GET").arg(format!("naive:page:{id}:{own}:{all}")).clone();
            let bytes: Vec<u8> = get.query_async(&mut connection).await.expect("our own server");
            value::decode(&bytes)
        }
    })
}
