//! The keys: the long options' names with `_`, what each may hold, and which exclude each other.

/// What may stand behind a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// A string, or a number in its place.
    Number,
    /// A string, or an array of them.
    Texts,
    /// A program and its arguments.
    Words,
    /// A string that nobody sees.
    Secret,
    /// `true` or `false`.
    Switch,
    /// 0, 1 or 2.
    Level,
    /// An array of tables.
    Tables,
}

macro_rules! keys {
    ($($key:ident $name:literal $shape:ident,)*) => {
        /// A key of `[defaults]`, of an account or of its credentials.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Key {
            $(#[doc = concat!("`", $name, "`")] $key,)*
        }

        impl Key {
            /// All of them.
            pub const ALL: &[Key] = &[$(Key::$key,)*];

            /// As written in the file.
            pub fn name(self) -> &'static str {
                match self {
                    $(Key::$key => $name,)*
                }
            }

            /// What may stand behind it.
            pub fn shape(self) -> Shape {
                match self {
                    $(Key::$key => Shape::$shape,)*
                }
            }
        }
    };
}

keys! {
    Aor "aor" Text,
    Credentials "credentials" Tables,
    Registrar "registrar" Text,
    Proxy "proxy" Texts,
    Transport "transport" Text,
    Username "username" Text,
    PasswordFile "password_file" Text,
    PasswordCommand "password_command" Words,
    Password "password" Secret,
    Ha1 "ha1" Secret,
    Ha1File "ha1_file" Text,
    Realm "realm" Text,
    MinAlgorithm "min_algorithm" Text,
    From "from" Text,
    Contact "contact" Texts,
    Expires "expires" Number,
    Q "q" Number,
    Header "header" Texts,
    UserAgent "user_agent" Text,
    Bind "bind" Text,
    Advertise "advertise" Text,
    Nameserver "nameserver" Texts,
    Ipv4 "ipv4" Switch,
    Ipv6 "ipv6" Switch,
    Timeout "timeout" Number,
    T1 "t1" Number,
    RetryFor "retry_for" Number,
    StateDir "state_dir" Text,
    Stateless "stateless" Switch,
    Json "json" Switch,
    Verbose "verbose" Level,
    Quiet "quiet" Switch,
    Color "color" Text,
}

/// Keys of which only one can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One secret for whatever realm asks.
    Secret,
    /// One address family.
    Family,
    /// A place to remember, or none.
    Memory,
    /// More output, or less.
    Volume,
}

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<Key> {
        Key::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// What it excludes.
    pub fn group(self) -> Option<Group> {
        match self {
            Key::PasswordFile | Key::PasswordCommand | Key::Password | Key::Ha1 | Key::Ha1File => {
                Some(Group::Secret)
            }
            Key::Ipv4 | Key::Ipv6 => Some(Group::Family),
            Key::StateDir | Key::Stateless => Some(Group::Memory),
            Key::Verbose | Key::Quiet => Some(Group::Volume),
            Key::Aor
            | Key::Credentials
            | Key::Registrar
            | Key::Proxy
            | Key::Transport
            | Key::Username
            | Key::Realm
            | Key::MinAlgorithm
            | Key::From
            | Key::Contact
            | Key::Expires
            | Key::Q
            | Key::Header
            | Key::UserAgent
            | Key::Bind
            | Key::Advertise
            | Key::Nameserver
            | Key::Timeout
            | Key::T1
            | Key::RetryFor
            | Key::Json
            | Key::Color => None,
        }
    }
}

/// Long options that make sense only where they are typed.
pub const TYPED_ONLY: &[&str] =
    &["all", "config", "dry_run", "help", "json_schema", "show_secrets", "version", "yes"];

/// The known word that is most like this one, if any is: clap's own measure.
pub fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::jaro(&word, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(one, _), (two, _)| one.total_cmp(two))
        .map(|(_, known)| known)
}
