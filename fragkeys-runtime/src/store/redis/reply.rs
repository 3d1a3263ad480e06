//! What Redis answers, read; and what its errors mean for a person.

use bytes::Bytes;
use redis::{ServerErrorKind, Value};

use crate::error::{Error, ErrorKind};
use crate::tag::{Kind, Tag};
use crate::version::Version;

/// One version a tag; `None` where Redis has none, or something that is none (a
/// stranger's text, a list, a number that no clock gave).
pub(super) fn read_versions<'a>(
    tags: impl ExactSizeIterator<Item = &'a Tag>,
    reply: Value,
) -> Result<Vec<Option<Version>>, Error> {
    let texts = read_texts(reply)?;
    if texts.len() != tags.len() {
        return Err(nonsense("another number of versions than tags"));
    }
    Ok(tags.zip(texts).map(|(tag, text)| read_version(tag, &text)).collect())
}

/// Of tags of others, what stands for the text at their key.
pub(super) fn read_version(tag: &Tag, text: &[u8]) -> Option<Version> {
    match tag.kind() {
        Kind::Own | Kind::Constant => Version::from_ascii(text),
        Kind::Foreign | Kind::Original => (!text.is_empty()).then(|| Version::stamp(text)),
    }
}

/// What Redis has at some keys; empty where it has nothing, or no text.
pub(super) fn read_texts(reply: Value) -> Result<Vec<Bytes>, Error> {
    let Value::Array(values) = reply else {
        return Err(refusal(reply));
    };
    let text = |value| match value {
        Value::BulkString(text) => text.into(),
        _ => Bytes::new(),
    };
    Ok(values.into_iter().map(text).collect())
}

/// What a script says of so many tags: one text for most, and behind it others for single ones.
pub(super) fn read_told(number: usize, reply: Value) -> Result<Vec<Bytes>, Error> {
    let Value::Array(values) = reply else {
        return Err(refusal(reply));
    };
    let mut values = values.into_iter();
    let Some(Value::BulkString(common)) = values.next() else {
        return Err(nonsense("something else than what a script says of tags"));
    };
    let mut texts = vec![Bytes::from(common); number];
    while let Some(at) = values.next() {
        let (Value::Int(at), Some(Value::BulkString(text))) = (at, values.next()) else {
            return Err(nonsense("something else than what a script says of a tag"));
        };
        let place = usize::try_from(at).ok().and_then(|at| texts.get_mut(at.checked_sub(1)?));
        *place.ok_or_else(|| nonsense("a tag that a script was not asked for"))? = text.into();
    }
    Ok(texts)
}

/// An entry's bytes. A key that holds no string is a stranger's, and our next `SET` replaces it.
pub(super) fn read_entry(reply: Value) -> Result<Option<Bytes>, Error> {
    match reply {
        Value::BulkString(bytes) => Ok(Some(bytes.into())),
        Value::Nil => Ok(None),
        Value::ServerError(error) if error.code() == "WRONGTYPE" => Ok(None),
        other => Err(refusal(other)),
    }
}

/// The bytes of as many entries as were asked for.
pub(super) fn read_entries(
    number: usize,
    reply: Option<Value>,
) -> Result<Vec<Option<Bytes>>, Error> {
    let values = match reply {
        None if number == 0 => Vec::new(),
        Some(Value::Array(values)) => values,
        other => return Err(refusal(other.unwrap_or(Value::Nil))),
    };
    if values.len() != number {
        return Err(nonsense("another number of entries than keys"));
    }
    values.into_iter().map(read_entry).collect()
}

pub(super) fn is_error(reply: &Value, kind: ServerErrorKind) -> bool {
    matches!(reply, Value::ServerError(error) if error.kind() == Some(kind))
}

/// The error that a reply of the wrong kind stands for. Only the code of what Redis said
/// is kept: its text can quote arguments.
pub(super) fn refusal(reply: Value) -> Error {
    match reply {
        Value::ServerError(error) => refused(error.code()),
        _ => nonsense("a reply of the wrong type"),
    }
}

/// The error that an error of the server with this code stands for.
pub(super) fn refused(code: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("Redis refused ({code}): {}", hint(code)))
}

/// Does the server refuse everything for now? Then calls had better not ask it.
pub(super) fn is_busy(reply: &Value) -> bool {
    let Value::ServerError(error) = reply else { return false };
    matches!(error.code(), "LOADING" | "BUSY" | "MASTERDOWN")
}

/// What to do about an error of the server.
pub(super) fn hint(code: &str) -> &'static str {
    match code {
        "OOM" => "it is out of memory: raise `maxmemory` or set an eviction policy",
        "READONLY" => "it is a read-only replica: connect to the master",
        "LOADING" => "it is still loading its data",
        "BUSY" => "a script keeps it busy: `SCRIPT KILL` ends one that has written nothing",
        "MASTERDOWN" => "it is a replica that has lost its master: connect to the master",
        "NOAUTH" | "WRONGPASS" => "it wants other credentials: check user and password",
        "NOPERM" => {
            "the user lacks a permission: fragkeys needs GET, SET, MGET, DEL, UNLINK, INCR, PEXPIRE, PTTL, TIME, EVAL and EVALSHA on its prefix (with guards also HSET, HGET, HGETALL, HDEL, HLEN and HEXISTS), and on the keys that `also_bump` names; SELECT for another database than 0"
        }
        "MISCONF" => "it cannot save to disk and refuses writes",
        "MOVED" | "ASK" => {
            "it is part of a cluster, and was configured as a single server: use `Config::redis_cluster`"
        }
        "CROSSSLOT" => {
            "a cluster cannot bump tags of `fragmented_keys`, which need two keys at once"
        }
        "CLUSTERDOWN" => "too many masters of the cluster are away, or it is not whole",
        _ => "see the server's log",
    }
}

pub(super) fn nonsense(what: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, format!("Redis gave {what}"))
}
