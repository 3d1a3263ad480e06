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
use super::proof::{Proof, Slots, judge, question};
use crate::log::{notice, warning};
use crate::near::{Ledger, Loss, Trust};
use crate::store::redis::cell::Cells;
use crate::store::redis::cluster::slot_of;

/// How often in `max_staleness`: three questions may go unanswered before a hit goes to Redis.
const BEATS: u32 = 4;
/// So many beats without a call that would believe it, and the heartbeat waits for one.
const IDLE_BEATS: u32 = 4 * BEATS;

/// Has a connection believed by the near tier for as long as it answers. To be called before
/// anything is read through it.
pub(super) fn start(live: &Arc<Live>, ledger: &Arc<Ledger>, is_of_cluster: bool) {
    match &live.cells {
        Some(cells) => {
            cells.enter(ledger);
            let (trust, max_staleness) = (cells.trust.clone(), ledger.max_staleness);
            tokio::spawn(keep(Arc::downgrade(live), trust, max_staleness, is_of_cluster));
        }
        None => notice!("the near tier stays empty: this server tells of no changes"),
    }
}

async fn keep(live: Weak<Live>, trust: Arc<Trust>, max_staleness: Duration, is_of_cluster: bool) {
    let pause = (max_staleness / BEATS).max(Duration::from_millis(1));
    let question = question(is_of_cluster);
    // Some connections are never believed: those of the thread that keeps leases.
    let (mut idle_beats, mut slots) = (IDLE_BEATS, Slots::new());
    loop {
        if idle_beats >= IDLE_BEATS && first_of(trust.wanted(), trust.over()).await.is_none() {
            return;
        }
        idle_beats = if trust.take_want() { 0 } else { idle_beats + 1 };
        let Some(live) = live.upgrade() else { return };
        let Some(cells) = &live.cells else { return };
        let sent = Instant::now();
        let asking = first_heard(live.prove(&question), &trust, sent + max_staleness);
        let answer = match first_of(asking, trust.over()).await {
            None | Some(Err(_)) => return,
            Some(Ok(answer)) => answer,
        };
        let is_believed = match judge(&answer) {
            Proof::Given => true,
            Proof::GivenOf(own) => {
                discard_what_may_be_missed(cells, &trust, &mut slots, own);
                !slots.is_empty()
            }
            Proof::Lacking(loss) => {
                trust.note_lack(loss);
                false
            }
            Proof::Untracked => return replace(&live, &trust),
            Proof::Refused(command, code) => return do_without(&trust, command, &code),
        };
        if is_believed && !trust.extend(sent, max_staleness) {
            return;
        }
        drop(live);
        first_of(sleep(pause), trust.over()).await;
    }
}

/// In a cluster a master does not hear of what is bumped where it has no part in it: in slots that are
/// another one's now, and while it was silent, if it was replaced then and does not know that yet.
fn discard_what_may_be_missed(cells: &Cells, trust: &Trust, slots: &mut Slots, own: Slots) {
    if trust.has_run_out() {
        cells.forget_where(|_| true);
    } else if *slots != own {
        cells.lose_where(|key| {
            let slot = slot_of(key.as_bytes());
            !own.iter().any(|range| range.contains(&slot))
        });
    }
    *slots = own;
}

/// The answer, whenever it comes. Notes that it is late, once nothing is believed any more.
async fn first_heard(
    asking: impl Future<Output = RedisResult<Vec<Value>>>,
    trust: &Trust,
    late: Instant,
) -> RedisResult<Vec<Value>> {
    let mut asking = pin!(asking);
    if let Some(answer) = first_of(asking.as_mut(), sleep_until(late.into())).await {
        return answer;
    }
    trust.note_lack(Loss::Silence);
    asking.await
}

/// Somebody has switched it off: then the strict hits, too, must not go on with this connection.
fn replace(live: &Live, trust: &Trust) {
    trust.end(Loss::NotTracked);
    warning!("Redis does not track a connection any more that asked for it; connecting anew");
    live.lose();
}

/// It cannot be known, which is for the near tier alone to bear.
fn do_without(trust: &Trust, command: &str, code: &str) {
    trust.end(Loss::NotTracked);
    warning!("the near tier stays empty: Redis refused `{command}`, which it needs ({code})");
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
