//! Many entries of one cache at once: one answer for each, and one round trip for all.

use std::sync::Arc;
use std::time::Duration;

use super::{Budget, Cache, Condition, is_no_fault, outliving};
use crate::error::{Error, ErrorKind};
use crate::key::Identity;
use crate::store::{Each, Found, Put, Store as _};

impl Cache {
    /// As [`look`](Self::look), for several.
    pub(crate) async fn look_many(
        &self,
        identities: &[Arc<Identity>],
        timeout: Duration,
        budget: &mut Budget,
    ) -> Vec<Result<Found, Error>> {
        let refused = self.check_queue_for(identities.iter());
        let asked = identities.iter().zip(&refused).filter(|(_, refused)| refused.is_none());
        let asked: Vec<Arc<Identity>> = asked.map(|(identity, _)| identity.clone()).collect();
        if asked.is_empty() {
            return each(Ok(Vec::new()), refused);
        }
        let answer = match budget.check() {
            Ok(()) => {
                let deadline = budget.deadline();
                let answer =
                    self.shared.store.look_many(&asked, outliving(timeout), deadline).await;
                budget.spend(deadline);
                self.judge_each(&self.shared.reads, "reading", &answer);
                answer
            }
            Err(error) => Err(error),
        };
        let mut answers = each(answer, refused);
        if self.shared.queue.len() > 0 {
            // As for one: a new connection may have found out that a bump is lost.
            for (identity, answer) in identities.iter().zip(&mut answers) {
                if answer.is_ok()
                    && let Err(error) = self.check_queue(identity)
                {
                    *answer = Err(error);
                }
            }
        }
        answers
    }

    /// As [`put`](Self::put), for several.
    pub(crate) async fn put_many(
        &self,
        entries: Vec<Put>,
        budget: &mut Budget,
    ) -> Vec<Result<(), Error>> {
        let stored = self.put_uncounted(entries, budget).await;
        self.counters().stored.add_many(stored.iter().filter(|stored| stored.is_ok()).count());
        stored
    }

    /// Stores an entry, and beside it what points to it, which is none.
    pub(crate) async fn put_beside(
        &self,
        entry: Put,
        pointer: Option<Put>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let puts = std::iter::once(entry).chain(pointer).collect();
        let stored = self.put_uncounted(puts, budget).await.into_iter().next();
        let stored = stored
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Protocol, "the store gave no answer")));
        if stored.is_ok() {
            self.counters().stored.add();
        }
        stored
    }

    async fn put_uncounted(
        &self,
        entries: Vec<Put>,
        budget: &mut Budget,
    ) -> Vec<Result<(), Error>> {
        // A bump may have failed while the function ran: its result may be from before.
        let refused = self.check_queue_for(entries.iter().map(|put| &put.identity));
        let stored = entries.into_iter().zip(&refused).filter(|(_, refused)| refused.is_none());
        let stored: Vec<Put> = stored.map(|(put, _)| put).collect();
        if stored.is_empty() {
            return each(Ok(Vec::new()), refused);
        }
        let answer = match budget.check() {
            Ok(()) => {
                let deadline = budget.deadline();
                let answer = self.shared.store.put_many(stored, deadline).await;
                budget.spend(deadline);
                self.judge_each(&self.shared.writes, "storing", &answer);
                answer
            }
            Err(error) => Err(error),
        };
        each(answer, refused)
    }

    /// Why each of these must be left alone, if it must.
    fn check_queue_for<'a>(
        &self,
        identities: impl Iterator<Item = &'a Arc<Identity>>,
    ) -> Vec<Option<Error>> {
        identities.map(|identity| self.check_queue(identity).err()).collect()
    }

    /// As [`judge`](Self::judge): one fault, for however many.
    fn judge_each<T>(&self, condition: &Condition, doing: &str, answer: &Each<T>) {
        let is_fault = |error: &&Error| !is_no_fault(error.kind());
        let fault = match answer {
            Ok(answers) => answers.iter().filter_map(|answer| answer.as_ref().err()).find(is_fault),
            Err(error) => Some(error),
        };
        self.judge(condition, doing, &fault.cloned().map_or(Ok(()), Err));
    }
}

/// What was refused, and the store's answers for the others, in order.
fn each<T>(answer: Each<T>, refused: Vec<Option<Error>>) -> Vec<Result<T, Error>> {
    let (answers, error) = match answer {
        Ok(answers) => (answers, Error::new(ErrorKind::Protocol, "the store gave too few answers")),
        Err(error) => (Vec::new(), error),
    };
    let mut answers = answers.into_iter();
    let mut next = || answers.next().unwrap_or_else(|| Err(error.clone()));
    refused.into_iter().map(|refused| refused.map_or_else(&mut next, Err)).collect()
}
