//! Bumps, and what is kept of them.

use super::refusal::nonsense;
use super::script::{BUMP, BUMP_ORIGINAL};
use super::{Job, RedisStore, read_version};
use crate::error::Error;
use crate::store::Deadline;
use crate::tag::{Kind, Tag};
use crate::version::Version;

impl RedisStore {
    /// Bumps, and remembers that for when the server forgets it.
    pub(super) async fn bump_lastingly(
        &self,
        tags: &[Tag],
        deadline: Deadline,
    ) -> Result<Vec<Version>, Error> {
        loop {
            self.links.here()?.live(deadline).await?;
            let replays = self.recent.replays();
            let versions = self.bump_some(tags, deadline).await?;
            self.recent.remember(tags.iter().cloned().zip(versions.iter().copied()));
            // Else a new connection was made ready while this bump was not remembered yet: its
            // server may not have it, if the answer is another one's.
            if self.recent.replays() == replays {
                return Ok(versions);
            }
        }
    }

    /// Gives each of these tags, which are no more than a run takes, a new version.
    async fn bump_some(&self, tags: &[Tag], deadline: Deadline) -> Result<Vec<Version>, Error> {
        let lifetime = self.tag_lifetime;
        let (original, own) =
            tags.iter().enumerate().partition(|(_, tag)| tag.kind() == Kind::Original);
        let jobs = [
            Job { script: &BUMP, tags: own, lifetime },
            Job { script: &BUMP_ORIGINAL, tags: original, lifetime },
        ];
        let jobs: Vec<Job<'_>> = jobs.into_iter().filter(|job| !job.tags.is_empty()).collect();
        let mut versions = vec![None; tags.len()];
        for (index, text) in self.run(&jobs, deadline).await? {
            let tag = &tags[index];
            let Some(stamp) = read_version(tag, &text) else {
                return Err(nonsense("something else than a version from a script"));
            };
            self.remember(std::slice::from_ref(tag), &[stamp], Some(lifetime));
            versions[index] = match tag.kind() {
                Kind::Original => Version::of_original(&text),
                _ => Some(stamp),
            };
        }
        let versions: Option<Vec<Version>> = versions.into_iter().collect();
        versions.ok_or_else(|| nonsense("fewer versions than tags"))
    }
}
