//! The scripts that give versions: two for tags of our own, and two for those of the Python
//! original. Redis runs each as one step, so no bump is lost.
//!
//! What a script says of its tags is a text that is true of most, and behind it the number of each
//! other tag (from 1) and the text that is true of that: ten thousand tags have one new version.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Cmd, cmd};

/// `now`: Redis's own time in µs and three digits from the caller, as a decimal text.
/// Texts of 19 digits compare as their numbers do; Lua's own numbers hold only 53 bits.
/// A clock before September 2001 is put behind that date, where versions begin.
pub(super) const PRELUDE: &str = r"
local time = redis.call('TIME')
local now = string.format('%s%06d%s', time[1], time[2], ARGV[2])
if #now < 19 then now = '1' .. string.rep('0', 18 - #now) .. now end
local function is_mark(text)
    return type(text) == 'string' and #text == 19 and not string.find(text, '%D')
        and text >= '9000000000000000000' and text < '9100000000000000000'
end
local function is_version(text)
    return type(text) == 'string' and #text == 19 and not string.find(text, '%D')
        and text >= '1000000000000000000' and text <= '9223372036854775807' and not is_mark(text)
end
local function version_at(key)
    local text = redis.pcall('GET', key)
    if is_version(text) then return text end
end
local told = {now}
";

/// What a bump finds that is not older than `now`: a version, above which the next one must be
/// (where `INCR` can count no further, `now` is at least another number), or a guard's mark, which is
/// left to another script that knows the guards. Both add what they did to `told`.
const ABOVE: &str = r"
local function is_ahead(before)
    return before and before >= now and (is_version(before) or is_mark(before))
end
local function put_above(i, before)
    local key, version = KEYS[i], before
    if is_version(before) then
        version = now
        redis.call('SET', key, before)
        redis.pcall('INCR', key)
        local next = redis.call('GET', key)
        if next ~= before and is_version(next) then version = next end
    end
    redis.call('SET', key, version, 'PX', ARGV[1])
    told[#told + 1] = i
    told[#told + 1] = version
end
";

/// max(current + 1, now). Nearly always that is `now`: so it is written at once, which tells what
/// was there, and put right where that was not older. `INCR` adds without Lua's rounding.
///
/// Of [`MANY`] tags, what is older than `now` is removed instead, at less than half of the price: whoever
/// reads the tag next seeds a version that is newer (I2). So `now` is told without its three digits: a
/// floor, below which no seed of this time is. What is ahead is never removed, not even for as long as
/// it takes to put it back: a server without memory would refuse that, and a mark would be lost.
const BUMP_EACH: &str = r"
local function write_each()
    local write, lifetime = redis.pcall, ARGV[1]
    for i, key in ipairs(KEYS) do
        local before = write('SET', key, now, 'PX', lifetime, 'GET')
        if type(before) == 'table' then
            redis.call('SET', key, now, 'PX', lifetime)
        elseif is_ahead(before) then
            put_above(i, before)
        end
    end
end
local function remove_each()
    now = string.sub(now, 1, 16) .. '000'
    told[1] = now
    for first = 1, #KEYS, 1000 do
        local last, older = math.min(first + 999, #KEYS), {}
        for at, before in ipairs(redis.call('MGET', unpack(KEYS, first, last))) do
            local i = first + at - 1
            if is_ahead(before) then put_above(i, before) else older[#older + 1] = KEYS[i] end
        end
        if #older > 0 then redis.call('UNLINK', unpack(older)) end
    end
end
if #KEYS < MANY then write_each() else remove_each() end
return told
";

/// `now`, only where there is still no version. A foreign `INCR` on a missing tag left a
/// small number: that is a bump, and it gets a fresh version here too. A guard's mark stays.
const SEED_EACH: &str = r"
for i, key in ipairs(KEYS) do
    local version = redis.pcall('GET', key)
    if is_version(version) or is_mark(version) then
        told[#told + 1] = i
        told[#told + 1] = version
    else
        redis.call('SET', key, now, 'PX', ARGV[1])
    end
end
return told
";

/// The original counts milliseconds, as the text of a Python number; in Django's cache inside of a
/// pickle, so its digits are searched for. Whole numbers are what all of its stores can read.
///
/// Each of its keys is followed by one of ours with the last number that was written there: the
/// original reads, adds and writes in steps, and may put back what was there before.
const PRELUDE_OF_ORIGINAL: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told = {''}
local function text_at(key)
    local text = redis.pcall('GET', key)
    if type(text) == 'string' then return text end
end
local function number_at(key)
    local digits = string.match(text_at(key) or '', '%d%d%d%d%d%d%d%d%d%d%d%d+')
    if digits and #digits < 16 then return tonumber(digits) end
    return 0
end
local function next_for(key, ours)
    local version = math.max(now, number_at(key) + 1, number_at(ours) + 1)
    return string.format('%.0f', version)
end
";

/// Above what is there, as far as that is a number of milliseconds.
const BUMP_EACH_OF_ORIGINAL: &str = r"
for i = 1, #KEYS, 2 do
    local version = next_for(KEYS[i], KEYS[i + 1])
    redis.call('SET', KEYS[i], version, 'PX', ARGV[1])
    redis.call('SET', KEYS[i + 1], version, 'PX', ARGV[1])
    told[#told + 1] = (i + 1) / 2
    told[#told + 1] = version
end
return told
";

/// Only where there is nothing: what is not a text is somebody else's.
const SEED_EACH_OF_ORIGINAL: &str = r"
for i = 1, #KEYS, 2 do
    local version = next_for(KEYS[i], KEYS[i + 1])
    if redis.call('SET', KEYS[i], version, 'PX', ARGV[1], 'NX') then
        redis.call('SET', KEYS[i + 1], version, 'PX', ARGV[1])
    end
    told[#told + 1] = (i + 1) / 2
    told[#told + 1] = text_at(KEYS[i]) or ''
end
return told
";

/// At least the version that this process was told (behind the two arguments that all scripts have, one
/// a key), where there is an older one: Redis has forgotten a bump. Not that very version: what was
/// stored under it and somewhere else may be older than a later bump that is forgotten too. Where
/// there is none at all, the first read seeds one that is new. Says what it wrote.
const RENEW_EACH: &str = r"
told = {''}
for i, key in ipairs(KEYS) do
    local current = version_at(key)
    local known = ARGV[i + 2]
    if current and current < known then
        local version = now
        if known >= now then
            redis.call('SET', key, known)
            redis.pcall('INCR', key)
            local next = redis.call('GET', key)
            if next ~= known and is_version(next) then version = next end
        end
        redis.call('SET', key, version, 'PX', ARGV[1])
        told[#told + 1] = i
        told[#told + 1] = version
    end
end
return told
";

/// The same for the original's: its numbers, and ours behind each.
const RENEW_EACH_OF_ORIGINAL: &str = r"
for i = 1, #KEYS, 2 do
    if text_at(KEYS[i]) and number_at(KEYS[i]) < tonumber(ARGV[2 + (i + 1) / 2]) then
        local version = next_for(KEYS[i], KEYS[i + 1])
        local known = tonumber(ARGV[2 + (i + 1) / 2])
        if tonumber(version) <= known then version = string.format('%.0f', known + 1) end
        redis.call('SET', KEYS[i], version, 'PX', ARGV[1])
        redis.call('SET', KEYS[i + 1], version, 'PX', ARGV[1])
        told[#told + 1] = (i + 1) / 2
        told[#told + 1] = version
    end
end
return told
";

/// Who runs for an entry that is missing, or known to be no answer: nobody, if another one is there by
/// now. Behind the two arguments that all scripts have, the token of who asks, how what it knows begins,
/// and for how long a lease lives at most. It finds its own token where it had to ask twice. What nobody of us wrote is written over:
/// who waited for it would wait for nothing.
const CLAIM_LEASE_AT: &str = r"
local entry = redis.pcall('GET', KEYS[2])
local known = ARGV[4]
if type(entry) == 'string' and (known == '' or string.sub(entry, 1, #known) ~= known) then
    return {'stored', entry}
end
local held = redis.pcall('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if type(held) == 'string' and left > 0 and left <= tonumber(ARGV[5]) then
    if held == ARGV[3] then return {'owned'} end
    local admits = tonumber(string.match(held, '^%+(%d+)$'))
    if admits and admits > 0 then
        local others = string.format('+%.0f', math.min(admits, 1000000) - 1)
        redis.call('SET', KEYS[1], others, 'PX', ARGV[1])
        return {'admitted'}
    end
    if admits or (#held == 32 and not string.find(held, '%X')) then return {'held', left} end
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[1])
return {'owned'}
";

/// Those that are still their owners', by their tokens; `+` is any of several.
const RENEW_EACH_LEASE: &str = r"
for i, key in ipairs(KEYS) do
    local held, token = redis.pcall('GET', key), ARGV[i + 2]
    local is_one_of_several = token == '+' and type(held) == 'string' and string.sub(held, 1, 1) == '+'
    if held == token or is_one_of_several then redis.call('PEXPIRE', key, ARGV[1]) end
end
return {}
";

/// A token and a number for each: so many others may run at once from now on; where that is none,
/// the next one takes the lease. One that another has by now is left alone.
const RELEASE_EACH_LEASE: &str = r"
for i, key in ipairs(KEYS) do
    local held, token, lets_in = redis.pcall('GET', key), ARGV[i * 2 + 1], tonumber(ARGV[i * 2 + 2])
    local admits = type(held) == 'string' and tonumber(string.match(held, '^%+(%d+)$'))
    if held == token or admits or (token == '+' and not held) then
        if lets_in == 0 then
            -- Who was never let in does not send others away.
            if held == token or token == '+' then redis.call('DEL', key) end
        else
            local others = string.format('+%.0f', math.min((admits or 0) + lets_in, 1000000))
            redis.call('SET', key, others, 'PX', ARGV[1])
        end
    end
end
return {}
";

pub(super) static CLAIM_LEASE: LazyLock<Script> = LazyLock::new(|| Script::new("", CLAIM_LEASE_AT));
pub(super) static RENEW_LEASES: LazyLock<Script> =
    LazyLock::new(|| Script::new("", RENEW_EACH_LEASE));
pub(super) static RELEASE_LEASES: LazyLock<Script> =
    LazyLock::new(|| Script::new("", RELEASE_EACH_LEASE));

/// A bump of so many tags removes them, where one of fewer writes: there Redis would be busy for more
/// than 0.3 ms. Below that, what is told is what stands there.
pub(super) const MANY: usize = 256;

pub(super) static BUMP: LazyLock<Script> =
    LazyLock::new(|| Script::new(&format!("{PRELUDE}local MANY = {MANY}{ABOVE}"), BUMP_EACH));
pub(super) static SEED: LazyLock<Script> = LazyLock::new(|| Script::new(PRELUDE, SEED_EACH));
pub(super) static BUMP_ORIGINAL: LazyLock<Script> =
    LazyLock::new(|| Script::new(PRELUDE_OF_ORIGINAL, BUMP_EACH_OF_ORIGINAL));
pub(super) static SEED_ORIGINAL: LazyLock<Script> =
    LazyLock::new(|| Script::new(PRELUDE_OF_ORIGINAL, SEED_EACH_OF_ORIGINAL));

pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(PRELUDE, RENEW_EACH));
pub(super) static RENEW_ORIGINAL: LazyLock<Script> =
    LazyLock::new(|| Script::new(PRELUDE_OF_ORIGINAL, RENEW_EACH_OF_ORIGINAL));

/// A script, its source and its name in Redis.
pub(super) struct Script {
    source: String,
    sha: String,
}

impl Script {
    pub(super) fn new(prelude: &str, body: &str) -> Self {
        let source = format!("{prelude}{body}");
        let sha = redis::Script::new(&source).get_hash().to_owned();
        Script { source, sha }
    }

    /// A call by name; Redis answers NOSCRIPT where it does not know it (any more).
    pub(super) fn call(&self, keys: &[String], lifetime: Duration) -> Cmd {
        call("EVALSHA", &self.sha, keys, lifetime, &[])
    }

    /// A call that also teaches Redis the script.
    pub(super) fn call_with_source(&self, keys: &[String], lifetime: Duration) -> Cmd {
        call("EVAL", &self.source, keys, lifetime, &[])
    }

    /// A call with a version for each tag, for a server that may not know the script.
    pub(super) fn call_with_versions(
        &self,
        keys: &[String],
        lifetime: Duration,
        versions: &[u64],
    ) -> Cmd {
        call("EVAL", &self.source, keys, lifetime, versions)
    }
}

fn call(command: &str, script: &str, keys: &[String], lifetime: Duration, versions: &[u64]) -> Cmd {
    // Two clocks may show the same microsecond (a restart, a failover); three random
    // digits keep the versions apart. Redis's own `random` is the same in every run.
    let digits = format!("{:03}", fastrand::u16(..1_000));
    let mut call = cmd(command);
    call.arg(script).arg(keys.len()).arg(keys).arg(millis(lifetime)).arg(digits).arg(versions);
    call
}

/// For `PX`, which takes no zero.
pub(super) fn millis(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1)
}
