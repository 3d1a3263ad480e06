//! Guarded tags: marked before a change, and given a version after it.
//!
//! A guarded tag holds a *mark* in the place of its version: a number that no version is, with so many
//! marks above it that an `INCR` leaves another one. Nothing is read or stored under a mark. Who
//! guards the tag stands in a hash beside it: each guard with the time until which it is believed
//! to live, and the last version, above which the next one is. A mark whose guards are all past
//! their time is replaced by a fresh version at its first read.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;

use super::RedisStore;
use super::cell::forget_everywhere;
use super::cluster::beside;
use super::job::Job;
use super::route::Route;
use super::script::{PRELUDE, Script, millis};
use crate::error::{Error, ErrorKind};
use crate::key::version_key;
use crate::store::{Deadline, GuardId};
use crate::tag::Tag;
use crate::version::is_mark;

/// `KEYS`: the version of each tag, and its guards.
///
/// Past so many guards of one tag, they are counted as one that never leaves, and lives for as long
/// as the last of them would without more word of it.
const PRELUDE_OF_GUARDS: &str = r"
local MOST, CROWD, LAST = 1000, 'crowd', 'v'
local millis = time[1] * 1000 + math.floor(time[2] / 1000)
local mark = '900' .. string.sub(now, 4)
local lifetime = ARGV[1]
local function is_guarded(guards)
    local all, is_one_left = redis.pcall('HGETALL', guards), false
    if all.err then
        redis.call('DEL', guards)
        return false
    end
    for at = 1, #all, 2 do
        local guard, lives_until = all[at], tonumber(all[at + 1])
        if guard ~= LAST then
            if lives_until and lives_until > millis then
                is_one_left = true
            else
                redis.call('HDEL', guards, guard)
            end
        end
    end
    return is_one_left
end
local function last_version(key, guards)
    local last = version_at(key)
    if not last then
        local kept = redis.pcall('HGET', guards, LAST)
        if is_version(kept) then last = kept end
    end
    return last
end
local function give_next(key, guards)
    local version, last = now, last_version(key, guards)
    if last and last >= now then
        redis.call('SET', key, last)
        redis.pcall('INCR', key)
        local next = redis.call('GET', key)
        if next ~= last and is_version(next) then version = next end
    end
    redis.call('SET', key, version, 'PX', lifetime)
    return version
end
local function keep_mark(key, guards, last)
    if last then redis.call('HSET', guards, LAST, last) end
    redis.call('PEXPIRE', guards, lifetime)
    if is_mark(redis.pcall('GET', key)) then
        redis.call('PEXPIRE', key, lifetime)
    else
        redis.call('SET', key, mark, 'PX', lifetime)
    end
end
";

/// Behind the two arguments that all scripts have: the guard, and for how many milliseconds it is
/// believed to live without more word of it.
const MARK_EACH: &str = r"
for i = 1, #KEYS, 2 do
    local key, guards, guard = KEYS[i], KEYS[i + 1], ARGV[3]
    is_guarded(guards)
    if redis.call('HLEN', guards) > MOST and redis.call('HEXISTS', guards, guard) == 0 then
        guard = CROWD
    end
    local lives_until = millis + tonumber(ARGV[4])
    local known = tonumber(redis.call('HGET', guards, guard) or '0')
    if known < lives_until then
        redis.call('HSET', guards, guard, string.format('%.0f', lives_until))
    end
    keep_mark(key, guards, last_version(key, guards))
    told[#told + 1] = (i + 1) / 2
    told[#told + 1] = mark
end
return told
";

/// The guard, if there is one, leaves; and the tag is bumped. While another guard is left, the mark
/// stays, and the version is only remembered.
const LEAVE_EACH: &str = r"
for i = 1, #KEYS, 2 do
    local key, guards = KEYS[i], KEYS[i + 1]
    if ARGV[3] then redis.pcall('HDEL', guards, ARGV[3]) end
    local is_held = is_guarded(guards)
    local version = give_next(key, guards)
    if is_held then
        keep_mark(key, guards, version)
    else
        redis.call('DEL', guards)
    end
    told[#told + 1] = (i + 1) / 2
    told[#told + 1] = version
end
return told
";

/// A mark that nobody lives for becomes a version; another stays.
const SETTLE_EACH: &str = r"
for i = 1, #KEYS, 2 do
    local key, guards = KEYS[i], KEYS[i + 1]
    local text = redis.pcall('GET', key)
    if is_mark(text) and not is_guarded(guards) then
        text = give_next(key, guards)
        redis.call('DEL', guards)
    elseif not is_mark(text) and not is_version(text) then
        text = give_next(key, guards)
    end
    told[#told + 1] = (i + 1) / 2
    told[#told + 1] = text
end
return told
";

fn script(each: &str) -> Script {
    Script::new(&format!("{PRELUDE}{PRELUDE_OF_GUARDS}"), each)
}

static MARK: LazyLock<Script> = LazyLock::new(|| script(MARK_EACH));
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| script(LEAVE_EACH));
pub(super) static SETTLE: LazyLock<Script> = LazyLock::new(|| script(SETTLE_EACH));

impl RedisStore {
    /// Marks tags of our own, which are no more than a run takes; or says that the guard lives.
    pub(super) async fn mark_some(
        &self,
        tags: &[Tag],
        guard: GuardId,
        hold: Duration,
        deadline: Deadline,
    ) -> Vec<Result<(), Error>> {
        let arguments = vec![guard.to_string(), millis(hold).to_string()];
        let tags_to_mark = tags.iter().enumerate().collect();
        let job = Job::of_guards(&MARK, tags_to_mark, self.tag_lifetime, arguments);
        let mut marked = vec![Err(super::reply::nonsense("fewer marks than tags")); tags.len()];
        for (index, text) in self.run(vec![job], deadline).await {
            marked[index] = text.map(drop);
        }
        // Redis tells us, too, but not before it has answered.
        forget_everywhere(tags.iter().map(|tag| self.version_key(tag)));
        marked
    }

    /// Where a tag's guards stand: in a cluster, in the slot of its version.
    pub(super) fn guards_key(&self, tag: &Tag) -> String {
        match &self.route {
            Route::Single(_) => format!("{}:g:{}", self.prefix, tag.as_str()),
            Route::Cluster(_) => {
                beside(&version_key(&self.prefix, tag), &format!("{}:g:", self.prefix))
            }
        }
    }
}

/// Why a tag has no version, if that is because a guard holds it.
pub(super) fn guarded(tag: &Tag, text: &Bytes) -> Option<Error> {
    is_mark(text).then(|| {
        let message =
            format!("a guard holds `{tag}`: what depends on it is not cached until it ends");
        Error::new(ErrorKind::Guarded, message)
    })
}
