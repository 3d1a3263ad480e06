//! Leases in Redis: one key for each, beside the entry that it is about.
//!
//! At `{prefix}:l:{key_name}:{hash}` stands the token of who runs; or `+n` behind runs that ended without
//! anything to share: so many others may run at once, each takes one off and adds what its own
//! end lets in. Whatever else stands there is a stranger's, and nobody waits for it.

use std::time::Duration;

use redis::{Pipeline, ServerErrorKind, Value};

use super::RedisStore;
use super::cluster::slot_of;
use super::link::{Failure, Live};
use super::reply::{is_error, nonsense, refusal};
use super::route::Route;
use super::script::{CLAIM_LEASE, Script, millis};
use crate::error::Error;
use crate::lease::{Claim, End, Lease, Wait};
use crate::store::Deadline;

mod keeper;
mod watch;

pub(crate) use keeper::Grant;
pub(super) use keeper::Leases;
pub(crate) use watch::Watch;
pub(super) use watch::Watches;

/// How long a lease may outlive its owner's last sign of life, as some process was configured. What lives
/// for longer nobody of us wrote.
const LONGEST: Duration = Duration::from_secs(60);

impl RedisStore {
    /// Asks who is to run for an entry, in one round trip. Who has asked before is told of
    /// changes, where this server tells.
    pub(crate) async fn claim(
        &self,
        entry: &str,
        known: &[u8],
        is_waiting: bool,
        deadline: Deadline,
    ) -> Result<Claim, Error> {
        let Some(lease) = self.lease_key(entry) else { return Ok(Claim::Run(None)) };
        let keys = [lease, entry.to_owned()];
        // From before it is asked for: who is dropped while the answer is under way lets go of it.
        let grant = self.leases.enter(&keys[0])?;
        let lifetime = self.leases.lifetime();
        let question = Question { keys: &keys, token: grant.token(), known, lifetime };
        let (reply, watch) = match self.route.link()? {
            Some(link) if is_waiting => {
                let live = link.live(deadline).await?;
                match self.ask_watching(&live, &question, deadline).await {
                    Err(Failure::Lost(_)) => {
                        let live = link.live(deadline).await?;
                        self.ask_watching(&live, &question, deadline).await?
                    }
                    answer => answer?,
                }
            }
            _ => (self.ask(&question, deadline).await?, None),
        };
        match answer(reply)? {
            Answer::Owned => Ok(Claim::Run(Some(Lease { grant }))),
            Answer::Admitted => Ok(Claim::Run(Some(Lease { grant: grant.admitted() }))),
            Answer::Stored(entry) => {
                grant.forget();
                Ok(Claim::Stored(entry.into()))
            }
            Answer::Held(left) => {
                grant.forget();
                Ok(Claim::Wait(Wait { watch, left }))
            }
        }
    }

    async fn ask(&self, question: &Question<'_>, deadline: Deadline) -> Result<Value, Error> {
        let call = |how: Call| self.route.command(&question.keys[0], question.call(how));
        let reply = self.route.one(call(Script::call), deadline).await?;
        if is_error(&reply, ServerErrorKind::NoScript) {
            return self.route.one(call(Script::call_with_source), deadline).await;
        }
        Ok(reply)
    }

    /// As [`ask`](Self::ask), through one connection, which is told from then on of a change at
    /// either key.
    async fn ask_watching(
        &self,
        live: &Live,
        question: &Question<'_>,
        deadline: Deadline,
    ) -> Result<(Value, Option<Watch>), Failure> {
        let Some(cells) = &live.cells else {
            return Ok((self.ask(question, deadline).await?, None));
        };
        // Before the read: what happens behind it is told.
        let watch = cells.watches.watch(question.keys.clone());
        let ask = async |how: Call| -> Result<Vec<Value>, Failure> {
            let mut pipeline = Pipeline::with_capacity(2);
            pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
            pipeline.add_command(question.call(how));
            live.ask(&pipeline, 2, deadline).await
        };
        let mut replies = ask(Script::call).await?;
        if replies.iter().any(|reply| is_error(reply, ServerErrorKind::NoScript)) {
            replies = ask(Script::call_with_source).await?;
        }
        let is_told = replies.first() == Some(&Value::Okay);
        Ok((replies.pop().unwrap_or(Value::Nil), is_told.then_some(watch)))
    }

    /// Where the lease of an entry stands: in a cluster, in the same slot. `None` if there is no
    /// such key (for a name with braces that do not match).
    pub(super) fn lease_key(&self, entry: &str) -> Option<String> {
        if self.route.is_cluster() {
            let key = key_in_slot(&self.prefix, entry);
            return (slot_of(key.as_bytes()) == slot_of(entry.as_bytes())).then_some(key);
        }
        let of_entry = entry.strip_prefix(self.prefix.as_str())?.strip_prefix(":v:")?;
        Some(format!("{}:l:{of_entry}", self.prefix))
    }
}

/// Who is to run?
struct Question<'a> {
    /// Of the lease, and of the entry.
    keys: &'a [String; 2],
    /// Of who asks.
    token: &'a str,
    /// The head of what stands at the entry's key and is no answer.
    known: &'a [u8],
    lifetime: Duration,
}

impl Question<'_> {
    fn call(&self, how: Call) -> redis::Cmd {
        let mut call = how(&CLAIM_LEASE, self.keys, self.lifetime);
        call.arg(self.token).arg(self.known).arg(millis(LONGEST));
        call
    }
}

type Call = fn(&Script, &[String], Duration) -> redis::Cmd;

/// The key of the entry in braces, which a cluster goes by; or behind a copy of the braces that it
/// has itself.
fn key_in_slot(prefix: &str, entry: &str) -> String {
    let own = entry.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0));
    match own {
        Some(own) => format!("{prefix}:l:{{{own}}}:{entry}"),
        None => format!("{prefix}:l:{{{entry}}}"),
    }
}

/// What the script says.
enum Answer {
    Owned,
    /// As one of several.
    Admitted,
    Stored(Vec<u8>),
    /// For so long, unless it is renewed.
    Held(Duration),
}

fn answer(reply: Value) -> Result<Answer, Error> {
    let Value::Array(values) = reply else { return Err(refusal(reply)) };
    let mut values = values.into_iter();
    let (Some(Value::BulkString(kind)), detail) = (values.next(), values.next()) else {
        return Err(nonsense("something else than an answer about a lease"));
    };
    match (kind.as_slice(), detail) {
        (b"owned", _) => Ok(Answer::Owned),
        (b"admitted", _) => Ok(Answer::Admitted),
        (b"stored", Some(Value::BulkString(entry))) => Ok(Answer::Stored(entry)),
        (b"held", Some(Value::Int(left))) => {
            // A millisecond more than Redis counts, whose last one may have begun.
            let left = Duration::from_millis(u64::try_from(left).unwrap_or_default() + 1);
            Ok(Answer::Held(left.min(LONGEST)))
        }
        _ => Err(nonsense("something else than an answer about a lease")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_stands_in_the_slot_of_its_entry() {
        for entry in ["p:v:app::f:00ff", "p:v:app::f::{{closure}}:00", "p:v:{a}{b}:0"] {
            let key = key_in_slot("p", entry);
            assert!(key.starts_with("p:l:"), "{key}");
            assert_eq!(slot_of(key.as_bytes()), slot_of(entry.as_bytes()), "{key}");
        }
    }
}
