//! Options that are made only when their command is called: there are some forty of them in each, and making those of
//! all commands would take a good part of the time that one registration takes.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

/// The arguments of a command, put off until clap looks into it.
pub struct Later<T>(pub Box<T>);

impl<T: Args> Args for Later<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(put::<T>)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(put::<T>)
    }
}

impl<T: FromArgMatches> FromArgMatches for Later<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Later<T>, Error> {
        T::from_arg_matches(matches).map(|args| Later(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Adds the options, and keeps what the command says of itself: the struct's own words are for its readers.
fn put<T: Args>(command: Command) -> Command {
    let (about, long_about) = (command.get_about().cloned(), command.get_long_about().cloned());
    let mut command = T::augment_args(command);
    if let Some(about) = about {
        command = command.about(about);
    }
    if let Some(long_about) = long_about {
        command = command.long_about(long_about);
    }
    command
}
