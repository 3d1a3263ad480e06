//! Asks a connection, again and again, whether it still tells of changes.
//!
//! On that very connection: what was pushed before the answer has been applied when the answer is
//! there. And not with a `PING`: that would not see that tracking was switched off.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};
use tokio::time::{sleep, sleep_until};

use super::Live;
use crate::log::{notice, warning};
use crate::near::{Ledger, Loss, Trust};
use crate::store::redis::reply::is_busy;

/// How often in `max_staleness`: three questions may go unanswered before a hit goes to Redis.
const BEATS: u32 = 4;
/// So many beats without a call that would believe it, and the heartbeat waits for one.
const IDLE_BEATS: u32 = 4 * BEATS;

/// Has a connection believed by the near tier for as long as it answers. To be called before
/// anything is read through it.
pub(super) fn start(live: &Arc<Live>, ledger: &Arc<Ledger>) {
    match &live.cells {
        Some(cells) => {
            cells.enter(ledger);
            tokio::spawn(keep(Arc::downgrade(live), cells.trust.clone(), ledger.max_staleness));
        }
        None => notice!("the near tier stays empty: this server tells of no changes"),
    }
}

async fn keep(live: Weak<Live>, trust: Arc<Trust>, max_staleness: Duration) {
    let pause = (max_staleness / BEATS).max(Duration::from_millis(1));
    let mut idle_beats = 0;
    loop {
        if idle_beats >= IDLE_BEATS && first_of(trust.wanted(), trust.over()).await.is_none() {
            return;
        }
        idle_beats = if trust.take_want() { 0 } else { idle_beats + 1 };
        let Some(live) = live.upgrade() else { return };
        let sent = Instant::now();
        let asking = ask(&live, &trust, sent + max_staleness);
        match first_of(asking, trust.over()).await {
            None | Some(Err(_)) => return,
            Some(Ok(answer)) if is_tracked(&answer) => {
                if !trust.extend(sent, max_staleness) {
                    return;
                }
            }
            // As it refuses everything for now: the next answer may tell.
            Some(Ok(answer)) if is_busy(&answer) => {}
            Some(Ok(answer)) => return give_up(&live, &trust, &answer),
        }
        drop(live);
        first_of(sleep(pause), trust.over()).await;
    }
}

/// The answer, whenever it comes. Notes that it is late, once nothing is believed any more.
async fn ask(live: &Live, trust: &Trust, late: Instant) -> RedisResult<Value> {
    let mut asking = pin!(live.tracking());
    if let Some(answer) = first_of(asking.as_mut(), sleep_until(late.into())).await {
        return answer;
    }
    trust.note_silence();
    asking.await
}

/// Does the server tell this connection what changes of what it has read?
fn is_tracked(answer: &Value) -> bool {
    let is_text = |value: &Value, text: &str| match value {
        Value::SimpleString(found) => found == text,
        Value::BulkString(found) => found == text.as_bytes(),
        _ => false,
    };
    let Value::Map(fields) = answer else { return false };
    let flags = fields.iter().find(|(name, _)| is_text(name, "flags")).map(|(_, flags)| flags);
    let Some(Value::Set(flags) | Value::Array(flags)) = flags else { return false };
    let has = |name| flags.iter().any(|flag| is_text(flag, name));
    has("on") && has("optin") && !has("broken_redirect")
}

/// Somebody has switched it off: then the strict hits, too, must not go on with this connection.
/// Or it cannot be known, which is for the near tier alone to bear.
fn give_up(live: &Live, trust: &Trust, answer: &Value) {
    trust.end(Loss::NotTracked);
    match answer {
        Value::ServerError(error) => warning!(
            "the near tier stays empty: Redis refused `CLIENT TRACKINGINFO` ({})",
            error.code()
        ),
        _ => {
            warning!(
                "Redis does not track a connection any more that asked for it; connecting anew"
            );
            live.lose();
        }
    }
}

/// What the first of them gives; `None` if the other one is done before.
async fn first_of<T>(one: impl Future<Output = T>, other: impl Future<Output = ()>) -> Option<T> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => other.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(flags: &[&str]) -> Value {
        let text = |text: &&str| Value::SimpleString((*text).to_owned());
        let flags = Value::Set(flags.iter().map(text).collect());
        Value::Map(vec![(text(&"flags"), flags), (text(&"redirect"), Value::Int(-1))])
    }

    #[test]
    fn it_is_tracked_if_that_is_on_and_as_it_was_asked_for() {
        assert!(is_tracked(&answer(&["on", "optin"])));
        assert!(is_tracked(&answer(&["on", "optin", "caching-yes"])));
        assert!(!is_tracked(&answer(&["off"])));
        assert!(!is_tracked(&answer(&["on", "bcast"])), "of another prefix, for all we know");
        assert!(!is_tracked(&answer(&["on", "optin", "broken_redirect"])));
        assert!(!is_tracked(&Value::Okay));
    }
}
