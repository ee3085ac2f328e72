//! What a seed stands for: who is there, what each does, and how bad the way is.

use sipreg::proto::registrar::service::Fork;

use crate::dice::Dice;
use crate::links::Weather;

/// How a device ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Nothing comes from it any more.
    Silent,
    /// The network says so: ICMP, or a reset.
    Told,
}

/// What a device does when it is called.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// After so many milliseconds each, this status.
    pub says: Vec<(u64, u16)>,
    /// It takes no notice of a CANCEL.
    pub ignores: bool,
    /// It answers the CANCEL, and the call all the same.
    pub stubborn: bool,
    /// The Contact row of a 302, and which devices are named in it.
    pub moved: String,
    pub named: Vec<usize>,
    /// Whether that names somebody who can't be tried.
    pub names_others: bool,
}

#[derive(Clone, Debug)]
pub struct Device {
    pub is_tcp: bool,
    pub q: Option<&'static str>,
    /// Its connection comes from the port where it listens.
    pub is_same_port: bool,
    pub listens: bool,
    pub dies: Option<(u64, Death)>,
}

#[derive(Clone, Debug)]
pub struct CallPlan {
    pub is_tcp: bool,
    pub at: u64,
    /// By device.
    pub manners: Vec<Manner>,
    pub hangs_up: Option<u64>,
    pub talk: u64,
    pub caller_ends: bool,
    pub dies: Option<u64>,
    pub breadth: Option<u32>,
    /// The caller cancels though nothing was heard, which it must not.
    pub is_impatient: bool,
    /// It is a MESSAGE.
    pub is_message: bool,
    /// The caller's ACK of a 2xx has the branch of its INVITE, as in the days of RFC 2543.
    pub is_old: bool,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub weather: Weather,
    pub fork: Fork,
    /// How long the location service takes.
    pub store: (u64, u64),
    /// The last one is not bound.
    pub devices: Vec<Device>,
    /// The q of a binding that is no device, but another address of ours.
    pub alias: Option<Option<&'static str>>,
    /// The devices that are bound there, and not beside it.
    pub born: Vec<usize>,
    /// It listens at the wildcard address, and has to ask which its own is.
    pub is_wildcard: bool,
    /// The server ends in the middle.
    pub stops: Option<u64>,
    pub calls: Vec<CallPlan>,
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 20);
        let dice = &mut dice;
        let bad = dice.chance(70);
        let mut share = |of: &[u64]| if bad { dice.pick(of) } else { 0 };
        let weather = Weather {
            loss: share(&[0, 5, 10, 20, 30]),
            doubled: share(&[0, 10, 30]),
            held: share(&[0, 10, 20]),
            damaged: 0,
            breaking: share(&[0, 10, 40]),
            delay: (1, 60),
        };
        let bound = dice.between(2, 4) as usize;
        let devices: Vec<Device> = (0..=bound).map(|_| device(dice, bad)).collect();
        let alias = dice.chance(20).then(|| dice.pick(&[None, Some("0.5"), Some("0.1")]));
        let born: Vec<usize> = alias.map_or(0..0, |_| bound - dice.between(1, 2) as usize..bound).collect();
        // It can't be seen for which of several calls the other address is looked up.
        let count = if alias.is_some() { 1 } else { dice.pick(&[1, 1, 1, 2, 3]) };
        let calls = (0..count).map(|_| call(dice, &devices, &born)).collect();
        Scenario {
            weather,
            fork: if dice.chance(30) { Fork::Sequential } else { Fork::Parallel },
            store: dice.pick(&[(0, 0), (0, 0), (1, 300)]),
            devices,
            alias,
            born,
            is_wildcard: dice.chance(20),
            stops: dice.chance(3).then(|| dice.between(0, 60_000)),
            calls,
        }
    }

    /// Nothing gets lost, doubled, late or broken, and every device can be connected to.
    pub fn is_calm(&self) -> bool {
        let Weather { loss, doubled, held, breaking, .. } = self.weather;
        loss + doubled + held + breaking == 0 && self.devices.iter().all(|device| device.listens)
    }
}

fn device(dice: &mut Dice, bad: bool) -> Device {
    let death = dice.pick(&[Death::Silent, Death::Told]);
    let dies = dice.chance(12).then(|| (dice.between(0, 20_000), death));
    let is_same_port = dice.chance(50);
    Device {
        is_tcp: dice.chance(40),
        q: dice.pick(&[None, None, None, Some("1.0"), Some("0.5"), Some("0.5"), Some("0.1")]),
        is_same_port,
        listens: is_same_port || !bad || dice.chance(70),
        dies,
    }
}

fn call(dice: &mut Dice, devices: &[Device], born: &[usize]) -> CallPlan {
    let manners = (0..devices.len()).map(|_| manner(dice, devices, born)).collect();
    // A time that devices answer at, too, so that it crosses.
    let soon = dice.pick(&[10, 300, 3000, 20_000, 250_000]);
    CallPlan {
        is_tcp: dice.chance(30),
        at: dice.between(0, 10_000),
        manners,
        hangs_up: dice.chance(40).then(|| dice.between(1, soon)),
        talk: dice.pick(&[50, 5000, 150_000]),
        caller_ends: dice.chance(50),
        dies: dice.chance(3).then(|| dice.between(0, 30_000)),
        breadth: dice.chance(15).then(|| dice.between(1, 5) as u32),
        is_impatient: dice.chance(10),
        is_message: dice.chance(20),
        is_old: dice.chance(10),
    }
}

fn manner(dice: &mut Dice, devices: &[Device], born: &[usize]) -> Manner {
    let mut manner = Manner { stubborn: dice.chance(5), ignores: dice.chance(3), ..Manner::default() };
    let says = &mut manner.says;
    let mut final_status = dice.pick(&[
        200, 200, 200, 200, 200, 200, 200, 486, 486, 603, 600, 302, 302, 503, 503, 404, 500, 401, 407, 480,
        484, 0, 0, 1, 2,
    ]);
    match final_status {
        // Silent.
        1 => return manner,
        // It rings for ever.
        0 => {
            says.push((dice.between(0, 1000), 180));
            (0..dice.between(0, 2)).for_each(|_| says.push((dice.between(50_000, 200_000), 180)));
            return manner;
        }
        // It only says that it is busy with it.
        2 => {
            says.push((dice.between(0, 1000), 100));
            return manner;
        }
        302 => moved(&mut manner, dice, devices, born),
        200 if dice.chance(10) => final_status = 202,
        _ => {}
    }
    let says = &mut manner.says;
    let longest = dice.pick(&[20, 300, 3000, 20_000, 170_000]);
    if dice.chance(70) {
        says.push((dice.between(0, 190), 180));
    }
    // Who takes longer than 200 ms says so (§17.2.1).
    if dice.chance(30) || says.is_empty() && longest > 200 {
        says.insert(0, (dice.between(0, 50), 100));
    }
    if dice.chance(20) {
        says.push((dice.between(0, 300), 183));
    }
    says.push((dice.between(0, longest), final_status));
    manner
}

/// A 302 that names the spare device, another one, or who can't be tried.
fn moved(manner: &mut Manner, dice: &mut Dice, devices: &[Device], born: &[usize]) {
    let spare = devices.len() - 1;
    let mut values = Vec::new();
    for (device, chance) in [(spare, 70), (dice.between(0, spare as u64 - 1) as usize, 20)] {
        if dice.chance(chance) && !born.contains(&device) {
            let transport = if devices[device].is_tcp { ";transport=tcp" } else { "" };
            values.push(format!("<sip:d{device}@{}{transport}>", super::world::address(device)));
            manner.named.push(device);
        }
    }
    manner.names_others = values.is_empty() || dice.chance(20);
    if manner.names_others {
        values.push("<tel:+49>".to_owned());
    }
    manner.moved = format!("Contact: {}\r\n", values.join(", "));
}
