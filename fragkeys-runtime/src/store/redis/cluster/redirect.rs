//! What a node of a cluster answers that does not have a key, or not yet.

use redis::Value;

use super::Node;

/// Where a node sends us.
pub(super) struct Place(Node);

impl Place {
    pub(super) fn node(&self) -> &Node {
        &self.0
    }
}

/// An answer that is none yet.
pub(super) enum Redirect {
    /// For good: the slot belongs to another node.
    Moved(Place),
    /// This once: the slot is on its way there, and the key is there already or will be.
    Ask(Place),
    /// Some keys of the command are here and some there.
    Later,
    /// Nobody has the slot, or too many masters are away.
    Down,
}

impl Redirect {
    /// `None` if this is the answer. `by` is the node that gave it.
    pub(super) fn of(reply: &Value, by: &Node) -> Option<Self> {
        let Value::ServerError(error) = reply else { return None };
        match error.code() {
            "MOVED" => place(error.details()?, by).map(Redirect::Moved),
            "ASK" => place(error.details()?, by).map(Redirect::Ask),
            "TRYAGAIN" => Some(Redirect::Later),
            "CLUSTERDOWN" | "MASTERDOWN" => Some(Redirect::Down),
            _ => None,
        }
    }
}

/// Reads `3999 127.0.0.1:6381`. Without a host it is the one of the node that says so.
fn place(details: &str, by: &Node) -> Option<Place> {
    let (_, address) = details.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = match host {
        "" | "?" => by.host_and_port()?.0,
        host => host,
    };
    Some(Place(by.at(host.to_owned(), port)))
}
