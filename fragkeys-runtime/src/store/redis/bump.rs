//! Bumps that last: remembered for when their server forgets them.

use super::RedisStore;
use crate::error::Error;
use crate::store::{Deadline, GuardId};
use crate::tag::Tag;
use crate::version::Version;

impl RedisStore {
    /// Bumps, and remembers that for when a server forgets it.
    pub(super) async fn bump_lastingly(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        deadline: Deadline,
    ) -> Vec<Result<Version, Error>> {
        if let Ok(Some(link)) = self.route.link() {
            // Else the first connection's replay would count. If there is none, the bump will tell.
            let _ = link.live(deadline).await;
        }
        loop {
            let replays = self.recent.replays();
            let versions = self.bump_some(tags, leaving, deadline).await;
            let told = tags.iter().zip(&versions);
            let told: Vec<(Tag, Version)> = told
                .filter_map(|(tag, version)| Some((tag.clone(), *version.as_ref().ok()?)))
                .collect();
            let is_any_told = !told.is_empty();
            self.recent.remember(told.into_iter());
            // Else a new connection was made ready while this bump was not remembered yet: its
            // server may not have it, if the answer is another one's.
            if !is_any_told || self.recent.replays() == replays {
                return versions;
            }
        }
    }
}
