//! What Redis says instead of doing what it is asked, and what that means.

use redis::Value;

use crate::error::{Error, ErrorKind};

/// The error that a reply of the wrong kind stands for. Only the code of what Redis said
/// is kept: its text can quote arguments.
pub(super) fn refusal(reply: Value) -> Error {
    match reply {
        Value::ServerError(error) => refused(error.code()),
        _ => nonsense("a reply of the wrong type"),
    }
}

/// What to do about a refusal with this code.
pub(super) fn refused(code: &str) -> Error {
    let hint = match code {
        "OOM" => "it is out of memory: raise `maxmemory` or set an eviction policy",
        "READONLY" => "it is a read-only replica: connect to the master",
        "LOADING" => "it is still loading its data",
        "BUSY" => "a script keeps it busy: `SCRIPT KILL` ends one that has written nothing",
        "MASTERDOWN" => "it is a replica that has lost its master: connect to the master",
        "NOAUTH" | "WRONGPASS" => "it wants other credentials: check the URL",
        "NOPERM" => {
            "the user lacks a permission: fragkeys needs GET, SET, MGET, DEL, INCR, PEXPIRE, TIME, EVAL and EVALSHA on its prefix, and on the keys that `also_bump` names"
        }
        "MISCONF" => "it cannot save to disk and refuses writes",
        "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
            "it is part of a cluster, and was configured as a single server"
        }
        _ => "see the server's log",
    };
    Error::new(ErrorKind::Refused, format!("Redis refused ({code}): {hint}"))
}

/// Does the server refuse everything for now? Then calls had better not ask it.
pub(super) fn is_busy(reply: &Value) -> bool {
    let Value::ServerError(error) = reply else { return false };
    matches!(error.code(), "LOADING" | "BUSY" | "MASTERDOWN")
}

pub(super) fn nonsense(what: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, format!("Redis gave {what}"))
}
