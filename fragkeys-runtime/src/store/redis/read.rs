//! Reading versions and entries: those whose keys stand in one slot by one command.

use bytes::Bytes;
use redis::{Value, cmd};

use super::RedisStore;
use super::reply::{read_entries, read_versions};
use super::route::Command;
use crate::error::Error;
use crate::store::Deadline;
use crate::tag::Tag;
use crate::version::Version;

/// What one command can name, each with its index in the list that it comes from.
pub(super) type Group<T> = Vec<(usize, T)>;

impl RedisStore {
    /// The versions of these tags, in one round trip; `None` where there is none.
    pub(super) async fn read(
        &self,
        tags: &[Tag],
        deadline: Deadline,
    ) -> Result<Vec<Option<Version>>, Error> {
        let groups = self.tag_groups(tags);
        let replies = self.route.send(self.ask_versions(&groups).collect(), deadline).await;
        each_version(tags.len(), &groups, replies).into_iter().collect()
    }

    pub(super) fn tag_groups<'a>(&self, tags: &'a [Tag]) -> Vec<Group<&'a Tag>> {
        self.route.groups(tags.iter().enumerate(), |(_, tag)| self.version_key(tag))
    }

    pub(super) fn key_groups<'a>(&self, keys: &[&'a str]) -> Vec<Group<&'a str>> {
        self.route.groups(keys.iter().copied().enumerate(), |(_, key)| (*key).to_owned())
    }

    /// A command for each group.
    pub(super) fn ask_versions(&self, groups: &[Group<&Tag>]) -> impl Iterator<Item = Command> {
        groups.iter().map(|group| self.mget(group.iter().map(|(_, tag)| self.version_key(tag))))
    }

    /// A command for each group.
    pub(super) fn ask_entries(&self, groups: &[Group<&str>]) -> impl Iterator<Item = Command> {
        groups.iter().map(|group| self.mget(group.iter().map(|(_, key)| (*key).to_owned())))
    }

    /// The same; and of what is read there, changes are told from then on.
    pub(super) fn ask_versions_tracked(
        &self,
        groups: &[Group<&Tag>],
    ) -> impl Iterator<Item = Command> {
        groups.iter().map(|group| {
            let keys: Vec<String> = group.iter().map(|(_, tag)| self.version_key(tag)).collect();
            Command { tracked: keys.clone(), ..self.mget(keys.into_iter()) }
        })
    }

    fn mget(&self, keys: impl Iterator<Item = String>) -> Command {
        let keys: Vec<String> = keys.collect();
        let mut mget = cmd("MGET");
        mget.arg(&keys);
        self.route.command(keys.first().map_or("", String::as_str), mget)
    }

    pub(super) fn get(&self, key: &str) -> Command {
        let mut get = cmd("GET");
        get.arg(key);
        self.route.command(key, get)
    }
}

/// A version for each of so many tags, or why it could not be read.
pub(super) fn each_version(
    number: usize,
    groups: &[Group<&Tag>],
    replies: impl IntoIterator<Item = Result<Value, Error>>,
) -> Vec<Result<Option<Version>, Error>> {
    each(number, groups, replies, |group, reply| {
        read_versions(group.iter().map(|(_, tag)| *tag), reply)
    })
}

/// The bytes at each of so many keys, or why they could not be read.
pub(super) fn each_entry(
    number: usize,
    groups: &[Group<&str>],
    replies: impl IntoIterator<Item = Result<Value, Error>>,
) -> Vec<Result<Option<Bytes>, Error>> {
    each(number, groups, replies, |group, reply| read_entries(group.len(), Some(reply)))
}

/// Puts the answers of groups back into the order of the list that they come from.
fn each<T, R>(
    number: usize,
    groups: &[Group<T>],
    replies: impl IntoIterator<Item = Result<Value, Error>>,
    read: impl Fn(&Group<T>, Value) -> Result<Vec<Option<R>>, Error>,
) -> Vec<Result<Option<R>, Error>> {
    let mut all: Vec<Result<Option<R>, Error>> = (0..number).map(|_| Ok(None)).collect();
    for (group, reply) in groups.iter().zip(replies) {
        let indices = group.iter().map(|(index, _)| *index);
        match reply.and_then(|reply| read(group, reply)) {
            Ok(values) => indices.zip(values).for_each(|(index, value)| all[index] = Ok(value)),
            Err(error) => indices.for_each(|index| all[index] = Err(error.clone())),
        }
    }
    all
}
