//! The script that changes a hash if it is as it was read, and else says what is in it. It knows nothing of SIP.

use redis::{Cmd, Value};

use super::hash::Rev;

/// `KEYS[1]` is the hash. The arguments:
///
/// | argument | what |
/// | --- | --- |
/// | 1 | the time of the server, in milliseconds, after which it is too late: whoever asked was told so |
/// | 2 | `rev` as it was read: nothing where there was no hash, 0 where it had none |
/// | 3 | `rev` from now on |
/// | 4 | how long the hash is kept, in milliseconds |
/// | 5 | `GT`: it is not to be kept for a shorter time than now; else nothing |
/// | 6 | how many fields are set |
/// | 7 | how many of these are kept for a time of their own: all or none |
/// | 8… | name and value of each field that is set; how long each is kept, in milliseconds; the names of those that are removed |
///
/// The answer is 1, or 0 when it was too late, or all that is in the hash when it was not as it was read.
pub(super) const SCRIPT: &str = r"
local key = KEYS[1]
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[1]) then
    return 0
end
local rev = redis.call('HGET', key, 'rev')
if not rev then
    rev = redis.call('EXISTS', key) == 1 and '0' or ''
end
if rev ~= ARGV[2] then
    return redis.call('HGETALL', key)
end
local set, timed = tonumber(ARGV[6]), tonumber(ARGV[7])
local last = 7 + 2 * set
redis.call('HSET', key, 'rev', ARGV[3], unpack(ARGV, 8, last))
for n = 1, timed do
    redis.call('HPEXPIRE', key, ARGV[last + n], 'FIELDS', 1, ARGV[6 + 2 * n])
end
last = last + timed
if #ARGV > last then
    redis.call('HDEL', key, unpack(ARGV, last + 1))
end
if redis.call('HLEN', key) == 1 then
    redis.call('DEL', key)
elseif ARGV[5] == '' then
    redis.call('PEXPIRE', key, ARGV[4])
else
    redis.call('PEXPIRE', key, ARGV[4], ARGV[5])
end
redis.pcall('PUBLISH', key, ARGV[3])
return 1
";

/// What the script is told.
pub(super) struct Call<'a> {
    /// Its name: the hash of its text.
    pub script: &'a str,
    pub key: &'a [u8],
    /// By the clock of the server, in milliseconds.
    pub deadline: u64,
    pub before: Rev,
    pub after: Rev,
    /// In milliseconds.
    pub kept: u64,
    pub is_kept_longer: bool,
    /// Name, value, and how long it is kept, in milliseconds.
    pub fields: &'a [(String, String, u64)],
    /// The server can keep fields for a time of their own.
    pub times_fields: bool,
    pub removed: &'a [u64],
}

impl Call<'_> {
    pub fn command(&self) -> Cmd {
        let data =
            self.key.len() + 200 + self.fields.iter().map(|(_, value, _)| value.len() + 32).sum::<usize>();
        let mut command = Cmd::with_capacity(12 + 3 * self.fields.len() + self.removed.len(), data);
        command.arg("EVALSHA").arg(self.script).arg(1).arg(self.key);
        command.arg(self.deadline).arg(self.before.text()).arg(self.after.text());
        command.arg(self.kept).arg(if self.is_kept_longer { "GT" } else { "" });
        let timed = if self.times_fields { self.fields.len() } else { 0 };
        command.arg(self.fields.len()).arg(timed);
        for (name, value, _) in self.fields {
            command.arg(name).arg(value);
        }
        for (.., kept) in self.fields.iter().take(timed) {
            command.arg(*kept);
        }
        for number in self.removed {
            command.arg(*number);
        }
        command
    }
}

/// What became of a call of the script.
pub(super) enum Outcome {
    Done,
    TooLate,
    /// It was not as it was read: this is what is there.
    Differs(Value),
    /// The answer of something else.
    Odd,
}

impl Outcome {
    pub fn of(answer: Value) -> Outcome {
        if let Value::Int(number) = answer {
            return if number == 1 { Outcome::Done } else { Outcome::TooLate };
        }
        if matches!(answer, Value::Array(_)) { Outcome::Differs(answer) } else { Outcome::Odd }
    }
}

/// The fields and values that HGETALL lists; `None`: this is no such list.
pub(super) fn fields(all: &Value) -> Option<Vec<(&[u8], &[u8])>> {
    let Value::Array(all) = all else { return None };
    fn octets(value: Option<&Value>) -> Option<&[u8]> {
        if let Some(Value::BulkString(octets)) = value { Some(octets) } else { None }
    }
    all.chunks(2).map(|pair| Some((octets(pair.first())?, octets(pair.get(1))?))).collect()
}
