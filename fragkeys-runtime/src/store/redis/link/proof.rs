//! What a connection is asked so that its cells are believed, and what the answer proves.
//!
//! It must tell of changes, which a `PING` would not show: it is answered as well where tracking was
//! switched off. And it can tell only of what it has: a master that was replaced, or in a cluster has
//! given a slot away, never hears of what is bumped at the other one.

use std::ops::RangeInclusive;

use redis::{Pipeline, Value};

use crate::near::Loss;
use crate::store::redis::cluster::slots_of;
use crate::store::redis::reply::is_busy;

const TRACKING: &str = "CLIENT TRACKINGINFO";
/// Some users may not ask for it: then nobody knows.
const ROLE: &str = "ROLE";
const OF_ONE: [&str; 2] = [TRACKING, ROLE];
const OF_CLUSTER: [&str; 4] = [TRACKING, "CLUSTER INFO", "CLUSTER MYID", "CLUSTER SLOTS"];

/// The slots of a master, as it sees itself.
pub(super) type Slots = Vec<RangeInclusive<u16>>;

/// What an answer says.
#[derive(Debug, PartialEq)]
pub(super) enum Proof {
    /// Changes are told.
    Given,
    /// In a cluster: of what stands in these slots.
    GivenOf(Slots),
    /// Not now, for this reason; the next answer may prove it.
    Lacking(Loss),
    /// The server does not track this connection.
    Untracked,
    /// It does not say: the command, and the code of its refusal.
    Refused(&'static str, String),
}

/// The commands to ask with. In a cluster whether it has its slots as well.
pub(super) fn question(is_of_cluster: bool) -> Pipeline {
    let commands = if is_of_cluster { &OF_CLUSTER[..] } else { &OF_ONE[..] };
    let mut question = Pipeline::with_capacity(commands.len());
    for command in commands {
        let mut words = redis::Cmd::new();
        words.arg(command.split(' ').collect::<Vec<_>>());
        question.add_command(words);
    }
    question
}

/// What the replies to the question prove.
pub(super) fn judge(replies: &[Value]) -> Proof {
    // As it refuses everything for now.
    if replies.iter().any(is_busy) {
        return Proof::Lacking(Loss::Silence);
    }
    let commands = if replies.len() == OF_ONE.len() { &OF_ONE[..1] } else { &OF_CLUSTER[..] };
    let refusal = commands.iter().zip(replies).find_map(|(command, reply)| match reply {
        Value::ServerError(error) => Some((*command, error.code().to_owned())),
        _ => None,
    });
    if let Some((command, code)) = refusal {
        return Proof::Refused(command, code);
    }
    match replies {
        [tracking, ..] if !is_tracked(tracking) => Proof::Untracked,
        [_, role] if is_replica(role) => Proof::Lacking(Loss::Cluster),
        [_, _] => Proof::Given,
        [_, info, id, slots] => match text(id).and_then(|id| slots_of(id, slots)) {
            None => Proof::Refused(OF_CLUSTER[3], "it cannot be read".to_owned()),
            // It is no master any more.
            Some(slots) if slots.is_empty() => Proof::GivenOf(slots),
            // Cut off from most of the others, it would not know that it was replaced.
            Some(_) if !says_that_it_works(info) => Proof::Lacking(Loss::Cluster),
            Some(slots) => Proof::GivenOf(slots),
        },
        _ => Proof::Refused(TRACKING, "no reply".to_owned()),
    }
}

/// Does the server tell this connection what changes of what it has read?
fn is_tracked(answer: &Value) -> bool {
    let is_text = |value: &Value, wanted: &str| text(value) == Some(wanted.as_bytes());
    let Value::Map(fields) = answer else { return false };
    let flags = fields.iter().find(|(name, _)| is_text(name, "flags")).map(|(_, flags)| flags);
    let Some(Value::Set(flags) | Value::Array(flags)) = flags else { return false };
    let has = |name| flags.iter().any(|flag| is_text(flag, name));
    has("on") && has("optin") && !has("broken_redirect")
}

/// What it is told by its master may be late, or never come.
fn is_replica(role: &Value) -> bool {
    matches!(role, Value::Array(role) if role.first().and_then(text) == Some(b"slave"))
}

fn says_that_it_works(info: &Value) -> bool {
    let lines = text(info).unwrap_or_default().split(|byte| *byte == b'\n');
    lines.map(<[u8]>::trim_ascii).any(|line| line == b"cluster_state:ok")
}

fn text(value: &Value) -> Option<&[u8]> {
    match value {
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.as_bytes()),
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simple(text: &str) -> Value {
        Value::SimpleString(text.to_owned())
    }

    fn tracking(flags: &[&str]) -> Value {
        let flags = Value::Set(flags.iter().map(|flag| simple(flag)).collect());
        Value::Map(vec![(simple("flags"), flags), (simple("redirect"), Value::Int(-1))])
    }

    #[test]
    fn it_is_tracked_if_that_is_on_and_as_it_was_asked_for() {
        let role = |role| Value::Array(vec![simple(role), Value::Int(0)]);
        let proof = |flags: &[&str]| judge(&[tracking(flags), role("master")]);
        assert_eq!(proof(&["on", "optin"]), Proof::Given);
        assert_eq!(proof(&["on", "optin", "caching-yes"]), Proof::Given);
        assert_eq!(proof(&["off"]), Proof::Untracked);
        assert_eq!(proof(&["on", "bcast"]), Proof::Untracked, "of another prefix, for all we know");
        assert_eq!(proof(&["on", "optin", "broken_redirect"]), Proof::Untracked);
        assert_eq!(judge(&[Value::Okay, role("master")]), Proof::Untracked);
        let demoted = judge(&[tracking(&["on", "optin"]), role("slave")]);
        assert_eq!(demoted, Proof::Lacking(Loss::Cluster));
        assert_eq!(judge(&[tracking(&["on", "optin"]), Value::Nil]), Proof::Given, "not told");
        assert!(matches!(judge(&[]), Proof::Refused(..)));
    }

    #[test]
    fn a_master_proves_what_it_tells_of_its_own_slots() {
        let node = |id: &str| Value::Array(vec![simple("host"), Value::Int(1), simple(id)]);
        let range =
            |first, last, id| Value::Array(vec![Value::Int(first), Value::Int(last), node(id)]);
        let slots = Value::Array(vec![range(0, 5, "a"), range(6, 7, "b"), range(9, 9, "a")]);
        let proof = |state: &str, id: &str, slots: &Value| {
            let info = Value::BulkString(format!("x:1\r\ncluster_state:{state}\r\n").into_bytes());
            judge(&[tracking(&["on", "optin"]), info, simple(id), slots.clone()])
        };
        assert_eq!(proof("ok", "a", &slots), Proof::GivenOf(vec![0..=5, 9..=9]));
        assert_eq!(proof("ok", "c", &slots), Proof::GivenOf(vec![]), "a replica");
        assert_eq!(proof("fail", "a", &slots), Proof::Lacking(Loss::Cluster));
        assert!(matches!(proof("ok", "a", &Value::Nil), Proof::Refused("CLUSTER SLOTS", _)));
    }
}
