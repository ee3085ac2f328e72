//! What is between two hosts: datagrams that get lost, late, doubled, out of order or damaged; streams that come
//! late, in pieces, damaged, or to an end.

use sipreg::proto::ids::Random;

use crate::dice::Dice;

/// How bad the way is. Shares are in percent of the datagrams.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    pub loss: u64,
    pub doubled: u64,
    /// Held back for up to three seconds, so that later ones overtake.
    pub held: u64,
    pub damaged: u64,
    /// Shortest and longest way, in milliseconds.
    pub delay: (u64, u64),
    /// Percent of the connections that break, at any octet.
    pub breaking: u64,
}

impl Weather {
    /// When copies of one datagram arrive, and how; none when it is lost.
    pub fn datagram(&self, dice: &mut Dice, octets: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let copies = if dice.chance(self.doubled) { 2 } else { 1 };
        let mut arrivals = Vec::new();
        for _ in 0..copies {
            if dice.chance(self.loss) {
                continue;
            }
            let mut after = dice.between(self.delay.0, self.delay.1);
            if dice.chance(self.held) {
                after += dice.between(1, 3000);
            }
            arrivals.push((after, self.damage(dice, octets)));
        }
        arrivals
    }

    /// Whether something that nobody sends again gets through, and when.
    pub fn notice(&self, dice: &mut Dice) -> Option<u64> {
        (!dice.chance(self.loss)).then(|| 2 * dice.between(self.delay.0, self.delay.1))
    }

    /// How long a segment takes when the system sends it again until it arrives.
    pub fn segment(&self, dice: &mut Dice) -> u64 {
        let mut after = dice.between(self.delay.0, self.delay.1);
        let mut again = 200;
        while dice.chance(self.loss) && again < 60_000 {
            after += again;
            again *= 2;
        }
        after
    }

    fn damage(&self, dice: &mut Dice, octets: &[u8]) -> Vec<u8> {
        let mut octets = octets.to_vec();
        if !octets.is_empty() && dice.chance(self.damaged) {
            let at = (dice.next() % octets.len() as u64) as usize;
            match dice.between(0, 3) {
                0 => octets[at] ^= 1 << dice.between(0, 7),
                1 => octets[at] = dice.between(0, 255) as u8,
                2 => octets.truncate(at),
                _ => {
                    octets.remove(at);
                }
            }
        }
        octets
    }
}

/// One direction of a connection.
pub struct Pipe {
    /// When its last octet arrives: nothing overtakes in a stream.
    last: u64,
    /// How many octets get through before the connection breaks.
    left: Option<u64>,
    /// Messages come whole, or not at all.
    is_framed: bool,
}

/// What comes out of a pipe.
pub enum Out {
    Octets(Vec<u8>),
    Broken,
}

impl Pipe {
    pub fn new(weather: &Weather, dice: &mut Dice, is_framed: bool) -> Pipe {
        let left = dice.chance(weather.breaking).then(|| dice.between(1, 1500));
        Pipe { last: 0, left, is_framed }
    }

    /// Cuts octets into pieces, each with the time from `now` after which it comes out; `now` never goes back.
    pub fn push(&mut self, now: u64, octets: &[u8], weather: &Weather, dice: &mut Dice) -> Vec<(u64, Out)> {
        if self.left == Some(0) {
            return Vec::new();
        }
        let octets = weather.damage(dice, octets);
        let fits = self.left.map_or(octets.len(), |left| octets.len().min(left as usize));
        let is_cut = self.is_framed && fits < octets.len();
        let mut rest = if is_cut { &[] } else { &octets[..fits] };
        let mut out = Vec::new();
        while !rest.is_empty() {
            let is_whole = self.is_framed || dice.chance(50);
            let most = if is_whole { rest.len() as u64 } else { dice.between(1, rest.len() as u64) };
            let (piece, more) = rest.split_at(most as usize);
            rest = more;
            self.last = self.last.max(now + weather.segment(dice));
            out.push((self.last - now, Out::Octets(piece.to_vec())));
        }
        if let Some(left) = &mut self.left {
            *left -= fits as u64;
            if *left == 0 {
                out.push((self.last.max(now) - now, Out::Broken));
            }
        }
        out
    }
}
