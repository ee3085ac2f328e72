//! A disk made for the tests: it can be full, can fail, and forgets what was not synced when the power fails.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redb::StorageBackend;

/// What is on it.
#[derive(Clone, Default)]
struct Platter {
    /// As the process sees it.
    now: Vec<u8>,
    /// As it was synced last.
    synced: Vec<u8>,
    /// What was written since: where, and what was there before; `None`: its length was set to that.
    since: Vec<(u64, Option<Vec<u8>>)>,
    syncs: u32,
    trouble: Trouble,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    #[default]
    None,
    /// Nothing can be written beyond its present length.
    Full,
    /// Nothing can be written.
    WriteFails,
    /// What was written can't be synced.
    SyncFails,
}

/// The disk; clones are the same one.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Platter>>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a disk")
    }
}

impl Disk {
    /// With these octets on it.
    pub fn with(octets: Vec<u8>) -> Disk {
        let platter = Platter { synced: octets.clone(), now: octets, ..Platter::default() };
        Disk(Arc::new(Mutex::new(platter)))
    }

    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    pub fn backend(&self) -> Arc<dyn StorageBackend> {
        Arc::new(self.clone())
    }

    pub fn octets(&self) -> Vec<u8> {
        self.lock().now.clone()
    }

    pub fn syncs(&self) -> u32 {
        self.lock().syncs
    }

    pub fn set(&self, trouble: Trouble) {
        self.lock().trouble = trouble;
    }

    /// What is there after a power failure: all that was synced, and of what was written since, in pieces of 512 octets, any.
    pub fn after_power_failure(&self, random: &mut StdRng) -> Disk {
        let platter = self.lock();
        let mut left = platter.synced.clone();
        for (offset, data) in &platter.since {
            match data {
                None => {
                    if random.random() {
                        left.resize(usize::try_from(*offset).unwrap(), 0);
                    }
                }
                Some(data) => {
                    for (number, sector) in data.chunks(512).enumerate() {
                        let at = usize::try_from(*offset).unwrap() + number * 512;
                        let end = at + sector.len();
                        if end <= left.len() && random.random() {
                            left[at..end].copy_from_slice(sector);
                        }
                    }
                }
            }
        }
        Disk::with(left)
    }
}

/// Dice for power failures.
pub fn dice(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn range(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + length
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.lock();
        let found = platter.now.get(range(offset, out.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.lock();
        match platter.trouble {
            Trouble::Full if len > platter.now.len() as u64 => return Err(io::ErrorKind::StorageFull.into()),
            Trouble::WriteFails => return Err(io::Error::other("bad sector")),
            Trouble::None | Trouble::Full | Trouble::SyncFails => {}
        }
        platter.now.resize(usize::try_from(len).unwrap(), 0);
        platter.since.push((len, None));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.lock();
        if platter.trouble == Trouble::SyncFails {
            return Err(io::Error::other("bad sector"));
        }
        platter.syncs += 1;
        platter.synced = platter.now.clone();
        platter.since.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.lock();
        if platter.trouble == Trouble::WriteFails {
            return Err(io::Error::other("bad sector"));
        }
        platter.now[range(offset, data.len())].copy_from_slice(data);
        platter.since.push((offset, Some(data.to_vec())));
        Ok(())
    }
}
