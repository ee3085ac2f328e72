//! The users of a registrar, by realm and name, with their HA1s.

/// One user of one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The realm: the domain of the user's address.
    pub realm: String,
    /// The user name, not escaped.
    pub name: String,
    /// Whose addresses the user may register besides the own: user parts, addresses (`user@domain`), or `*`.
    pub may_register: Vec<String>,
}

/// All users of a registrar.
#[derive(Debug, Default)]
pub struct Users {}

impl Users {
    /// Whether there is a user of that name in that realm.
    #[must_use]
    pub fn has(&self, _realm: &str, _name: &str) -> bool {
        false
    }
}
