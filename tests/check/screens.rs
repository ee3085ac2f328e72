//! What people read: the whole output of twelve worlds, with what differs from run to run masked.
