//! A cluster: commands go to the masters that have their slots, to all of them at once.
//!
//! The driver's own cluster connection was refused: it hangs for ever on a master that is
//! stopped, and takes no pipeline over several slots. Here each master has links as a single
//! server has them, so one that is down costs nothing but what stands there.
//!
//! A look asks for all versions, as the pushes of one master are not in order with the replies of
//! another. The near tier, which may be late, keeps them in cells as elsewhere: those of a master are
//! believed while it tells of changes at its slots. Only masters are asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::{Pipeline, Value};
use tokio::time::sleep;

use super::cell::Cells;
use super::link::{Failure, Live, Means};
use super::look::Asked;
use super::node::{Node, silent};
use super::reply::nonsense;
use super::route::{Answer, Command};
use crate::config::Servers;
use crate::error::{Error, ErrorKind};
use crate::health::Reach;
use crate::store::Deadline;
use crate::store::identity::Identities;
use crate::together::together;

mod map;
mod redirect;
mod refresh;
mod slot;

pub(super) use map::slots_of;
use map::{Master, SlotMap};
use redirect::{Place, Redirect};
use refresh::Refresh;
pub(super) use slot::{beside, by_slot, slot_of};

/// How often one command is sent on to another node: a slot that is on its way needs two.
const MOST_TURNS: usize = 8;
/// Before a command is sent again that nobody could run just now.
const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Cluster {
    seeds: Vec<Node>,
    means: Means,
    /// To name in messages.
    pub(super) address: String,
    map: ArcSwapOption<SlotMap>,
    refresh: Refresh,
    pub(super) identities: Identities,
}

/// A command that has no answer yet, and where it was sent on to.
struct Errand {
    index: usize,
    asked_of: Option<Place>,
}

impl Cluster {
    pub(super) fn open(
        servers: &Servers,
        urls: &[String],
        means: Means,
    ) -> Result<Arc<Self>, Error> {
        let open = |url: &String| Node::open(url, &servers.login, servers.tls.as_ref());
        let seeds: Vec<Node> = urls.iter().map(open).collect::<Result<_, _>>()?;
        let unusable = |message| Err(Error::new(ErrorKind::Config, message));
        let [first, ..] = seeds.as_slice() else {
            return unusable("`redis_cluster` was given no URL of a node");
        };
        if seeds.iter().any(|node| node.is_secure() != first.is_secure()) {
            return unusable(
                "some of the cluster's URLs are `rediss://` and some are not: it must be one of both",
            );
        }
        if seeds.iter().any(|node| node.database() != 0) {
            return unusable("a Redis cluster has no database but 0");
        }
        if seeds.iter().any(|node| node.host_and_port().is_none()) {
            return unusable("the nodes of a Redis cluster cannot be reached by sockets");
        }
        let address = seeds.iter().map(Node::address).collect::<Vec<_>>().join(", ");
        Ok(Arc::new(Cluster {
            seeds,
            means,
            address,
            map: ArcSwapOption::const_empty(),
            refresh: Refresh::new(),
            identities: Identities::new(),
        }))
    }

    /// Sends each command to the master that has its slot, all at once, and after it if the slot
    /// has moved. One reply or error for each; errors of the servers are replies.
    ///
    /// As with a single server, a command may run twice.
    pub(super) async fn send(
        self: &Arc<Self>,
        commands: &[Command],
        deadline: Deadline,
    ) -> Vec<Result<Answer, Error>> {
        let mut answers: Vec<Option<Result<Answer, Error>>> = vec![None; commands.len()];
        let mut open: Vec<Errand> =
            (0..commands.len()).map(|index| Errand { index, asked_of: None }).collect();
        for turn in 0..MOST_TURNS {
            if open.is_empty() || (turn > 0 && Instant::now() >= deadline.until) {
                break;
            }
            let map = match self.map(deadline).await {
                Ok(map) => map,
                Err(error) => {
                    open.iter().for_each(|errand| answers[errand.index] = Some(Err(error.clone())));
                    break;
                }
            };
            let mut must_wait = turn > 2;
            let parcels = self.sort(open, &map, commands, &mut answers);
            let deliveries = parcels
                .iter()
                .map(|(master, errands)| deliver(master, errands, commands, deadline));
            let outcomes = together(deliveries).await;
            open = Vec::new();
            for ((master, errands), outcome) in parcels.into_iter().zip(outcomes) {
                let delivered = match outcome {
                    Ok(delivered) => delivered,
                    Err(error) => {
                        // Somebody else may have its slots by now.
                        self.look_around();
                        errands.iter().for_each(|errand| {
                            answers[errand.index] = Some(Err(error.clone()));
                        });
                        continue;
                    }
                };
                for (errand, answer) in errands.into_iter().zip(delivered) {
                    let index = errand.index;
                    match Redirect::of(&answer.reply, &master.node) {
                        None => answers[index] = Some(Ok(answer)),
                        Some(Redirect::Moved(place)) => {
                            self.moved(commands[index].slot, &place);
                            open.push(Errand { index, asked_of: None });
                        }
                        Some(Redirect::Ask(place)) => {
                            open.push(Errand { index, asked_of: Some(place) });
                        }
                        Some(Redirect::Later) => {
                            must_wait = true;
                            open.push(Errand { index, asked_of: errand.asked_of });
                        }
                        Some(Redirect::Down) => {
                            self.look_around();
                            answers[index] = Some(Ok(answer));
                        }
                    }
                }
            }
            if must_wait && !open.is_empty() {
                sleep(PAUSE).await;
            }
        }
        answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(self.restless()))).collect()
    }

    /// What goes to which master.
    fn sort(
        self: &Arc<Self>,
        errands: Vec<Errand>,
        map: &SlotMap,
        commands: &[Command],
        answers: &mut [Option<Result<Answer, Error>>],
    ) -> Vec<(Arc<Master>, Vec<Errand>)> {
        let mut parcels: Vec<(Arc<Master>, Vec<Errand>)> = Vec::new();
        for errand in errands {
            let master = match &errand.asked_of {
                None => map.owner(commands[errand.index].slot).cloned(),
                Some(place) => self.master_at(place, map),
            };
            let Some(master) = master else {
                self.look_around();
                answers[errand.index] = Some(Err(nobody_has_it()));
                continue;
            };
            match parcels.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &master)) {
                Some((_, errands)) => errands.push(errand),
                None => parcels.push((master, vec![errand])),
            }
        }
        parcels
    }

    /// A master that a slot is on its way to; it may have none yet, and not be on the map.
    fn master_at(&self, place: &Place, map: &SlotMap) -> Option<Arc<Master>> {
        let node = place.node();
        let address = node.address();
        let mut master = map.at(&address).cloned();
        if master.is_none() {
            self.map.rcu(|map| {
                let map = map.as_ref()?;
                Some(match map.at(&address) {
                    Some(_) => map.clone(),
                    None => Arc::new(map.with(node.clone(), &self.means)),
                })
            });
            master = self.map.load().as_ref().and_then(|map| map.at(&address).cloned());
        }
        master.inspect(|master| master.expect())
    }

    /// A node says that another one has this slot.
    fn moved(self: &Arc<Self>, slot: u16, place: &Place) {
        let node = place.node();
        let before = self.map.rcu(|map| {
            let map = map.as_ref()?;
            let is_known = map.owner(slot).is_some_and(|owner| owner.address == node.address());
            Some(match is_known {
                true => map.clone(),
                false => Arc::new(map.moved(slot, node.clone(), &self.means)),
            })
        });
        self.forget_moved(before.as_deref());
        self.look_around();
    }

    /// To be called when the map has taken the place of another one.
    fn forget_moved(&self, before: Option<&SlotMap>) {
        if let (Some(before), Some(after)) = (before, self.map.load().as_deref()) {
            before.forget_moved(after);
        }
    }

    /// How the masters together are that this process has connected to, if it has to any.
    pub(super) fn reach(&self) -> Option<Reach> {
        let Some(map) = self.map.load_full() else { return self.refresh.reach() };
        map.masters.iter().filter_map(|master| master.links.reach()).reduce(Reach::and)
    }

    /// Why one of them could not be reached the last time, or all.
    pub(super) fn last_error(&self) -> Option<Error> {
        self.means.last_error.get()
    }

    fn silent(&self) -> Error {
        silent(&self.address)
    }

    fn restless(&self) -> Error {
        let message = "the slot of a key in the Redis cluster was on its way for too long";
        Error::new(ErrorKind::Timeout, message)
    }
}

/// One pipeline to one master; on another connection if the first is lost.
async fn deliver(
    master: &Master,
    errands: &[Errand],
    commands: &[Command],
    deadline: Deadline,
) -> Result<Vec<Answer>, Error> {
    let link = master.links.here()?;
    let live = link.live(deadline).await?;
    match deliver_through(&live, errands, commands, deadline).await {
        Err(Failure::Lost(_)) => {
            let live = link.live(deadline).await?;
            Ok(Box::pin(deliver_through(&live, errands, commands, deadline)).await?)
        }
        answers => Ok(answers?),
    }
}

async fn deliver_through(
    live: &Live,
    errands: &[Errand],
    commands: &[Command],
    deadline: Deadline,
) -> Result<Vec<Answer>, Failure> {
    let mut pipeline = Pipeline::with_capacity(errands.len());
    let mut asked = Vec::with_capacity(errands.len());
    for errand in errands {
        let Command { command, tracked, .. } = &commands[errand.index];
        // It must stand right before the command, and so must ASKING: one has to do without.
        let cells =
            live.cells.as_ref().filter(|_| !tracked.is_empty() && errand.asked_of.is_none());
        asked.push(cells.map(|cells| {
            let asked: Arc<[Asked]> = tracked.iter().map(|key| Asked::of(cells, key)).collect();
            pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
            (asked, cells)
        }));
        if errand.asked_of.is_some() {
            pipeline.cmd("ASKING");
        }
        pipeline.add_command(command.clone());
    }
    let replies = live.ask(&pipeline, pipeline.len(), deadline).await?;
    if replies.len() != pipeline.len() {
        return Err(nonsense("another number of replies than commands").into());
    }
    let mut replies = replies.into_iter();
    let mut answer = |(errand, asked): (&Errand, Option<(_, &Arc<Cells>)>)| {
        let word_before =
            (errand.asked_of.is_some() || asked.is_some()).then(|| replies.next()).flatten();
        let told = asked.filter(|(_, cells)| cells.are_told(word_before.as_ref()));
        let asked = told.map(|(asked, cells)| (asked, cells.trust.clone()));
        Answer { reply: replies.next().unwrap_or(Value::Nil), asked }
    };
    Ok(errands.iter().zip(asked).map(&mut answer).collect())
}

fn nobody_has_it() -> Error {
    let message = "no master of the Redis cluster has the slot of a key: is the cluster whole?";
    Error::new(ErrorKind::Refused, message)
}
