//! The `sipreg` command: a straight line from what was typed (`options`) to what is meant (`account`), to doing it
//! (`register`, `keep`, `serve`), to what is shown ([`report`]) and how the process exits ([`Exit`]).
//!
//! Every complaint about the command line ends before anything is sent. Only [`report`] writes to stdout.

mod account;
mod certificates;
pub mod check;
mod complete;
mod config;
mod crash;
mod demo;
pub mod diagnose;
mod environment;
mod exit;
pub mod explain;
mod exposure;
pub mod finding;
mod help;
mod keep;
mod man;
mod metrics;
mod options;
mod prompt;
mod register;
mod replace;
pub mod report;
mod secret;
mod serve;
mod session;
mod signals;
pub mod state;
mod table;
mod text;
mod thread;
mod trace;
mod usage;
mod values;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, CommandFactory, Parser, ValueEnum};

use account::Account;
pub use environment::Environment;
pub use exit::{Exit, Fault};
use options::{Args, ClientCommand, Command, Request};
use report::json::{self, CommandName};
use report::writer::Writer;
use report::{Reporter, Settings, Streams};

/// Gives the words of the command line. They are not held: there may be ten thousand addresses among them.
type Arguments<'a> = &'a dyn Fn() -> Vec<OsString>;

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    if let Some(code) = keep::child::launch::become_program() {
        return ExitCode::from(code);
    }
    signals::outlive_file_limit();
    let arguments = || std::env::args_os().collect::<Vec<_>>();
    let environment = Environment::of_process();
    let asking = complete::asking();
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let (stdout_is_terminal, stderr_is_terminal) = (stdout.is_terminal(), stderr.is_terminal());
    let same = is_same(stdout_is_terminal && stderr_is_terminal);
    let writer = Some(Writer::new(Box::new(io::stdout()), Box::new(io::stderr()), same));
    let mut streams =
        Streams { stdout: &mut stdout, stderr: &mut stderr, stdout_is_terminal, stderr_is_terminal, writer };
    let exit = match asking {
        Some(shell) => complete_for(shell, &arguments(), &environment, &mut streams),
        None => run_guarded(&arguments, &environment, &mut streams),
    };
    // Whatever is lost here was said to nobody.
    let _ = streams.finish();
    ExitCode::from(exit.code())
}

/// Whether stdout and stderr lead to the same place: a terminal, a pipe, a file.
#[cfg(unix)]
fn is_same(_terminals: bool) -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    let identity = |stream: std::os::fd::BorrowedFd<'_>| {
        let file = std::fs::File::from(stream.try_clone_to_owned().ok()?);
        file.metadata().ok().map(|found| (found.dev(), found.ino()))
    };
    let stdout = identity(io::stdout().as_fd());
    stdout.is_some() && stdout == identity(io::stderr().as_fd())
}

/// Whether stdout and stderr lead to the same place: there is one terminal.
#[cfg(not(unix))]
fn is_same(terminals: bool) -> bool {
    terminals
}

/// Answers a shell. If that fails nothing is said: somebody is typing there.
fn complete_for(
    shell: values::Shell,
    arguments: &[OsString],
    environment: &Environment,
    streams: &mut Streams<'_>,
) -> Exit {
    crash::watch();
    match panic::catch_unwind(AssertUnwindSafe(|| complete::answer(shell, arguments, environment))) {
        Ok(Ok(candidates)) => {
            Reporter::new(streams, Settings::default(), None, environment).data(&candidates)
        }
        Ok(Err(_)) => Exit::Usage,
        Err(_) => Exit::Internal,
    }
}

/// As [`run_from`], but a panic of ours ends as any other failure does: with a message, JSON if asked for,
/// and [`Exit::Internal`].
pub fn run_guarded(arguments: Arguments<'_>, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    crash::watch();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| run_from(arguments, environment, streams)));
    ended.unwrap_or_else(|_| {
        let arguments = arguments();
        let (settings, command) = rough(&arguments, true);
        Reporter::new(streams, settings, command, environment).fail(Fault::internal(crash::last_words()))
    })
}

/// Runs one command to its end, with everything it depends on as arguments. The first argument is the
/// program's name.
pub fn run_from(arguments: Arguments<'_>, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    match Args::try_parse_from(arguments()) {
        Ok(Args { command: Command::Register(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::List(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::Unregister(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::Check(args) }) => check::run(*args.0, environment, streams),
        Ok(Args { command: Command::Completions(args) }) => {
            let script = complete::script(args.0.shell);
            Reporter::new(streams, Settings::default(), None, environment).data(&script)
        }
        Ok(Args { command: Command::Demo(args) }) => {
            let settings = demo::settings(&args.0);
            let mut reporter = Reporter::new(streams, settings, Some(CommandName::Demo), environment);
            if args.0.format.json_schema {
                return reporter.data(&report::demo::schema());
            }
            demo::run(&args.0, environment, &mut reporter)
        }
        Ok(Args { command: Command::Explain(args) }) => explain(&args.0.words, environment, streams),
        Ok(Args { command: Command::Keep(args) }) => keep::run(*args.0, environment, streams),
        Ok(Args { command: Command::Serve(args) }) => serving(*args.0, environment, streams),
        Ok(Args { command: Command::Man(args) }) => manual(args.0.dir.as_deref(), environment, streams),
        Err(error) => not_run(&error, &arguments(), environment, streams),
    }
}

/// Prints the program's page, or writes all pages and prints where.
fn manual(dir: Option<&Path>, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let mut reporter = Reporter::new(streams, Settings::default(), None, environment);
    let Some(dir) = dir else { return reporter.data(&man::first_page()) };
    match man::write_to(dir) {
        Ok(written) => reporter.data(&written),
        Err(error) => reporter.fail(error),
    }
}

/// What words mean.
fn explain(words: &[String], environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let mut reporter = Reporter::new(streams, Settings::default(), None, environment);
    match explain::text(words) {
        Ok(text) => reporter.data(&text),
        Err(error) => reporter.fail(error),
    }
}

/// The registrar itself.
fn serving(args: options::Serve, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let mut reporter =
        Reporter::new(streams, args.display.settings(&args.format), Some(CommandName::Serve), environment);
    if args.format.json_schema {
        return reporter.data(&report::events::serve_schema());
    }
    serve::run(args, environment, &mut reporter)
}

/// A command that asks the registrar for something.
fn ask(request: Request, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let command = Some(match request.command {
        ClientCommand::Register => CommandName::Register,
        ClientCommand::List(_) => CommandName::List,
        ClientCommand::Unregister(_) => CommandName::Unregister,
        ClientCommand::Check => CommandName::Check,
    });
    let output = &request.options.output;
    if output.format.json_schema {
        let settings = Settings { color: output.display.color.unwrap_or_default(), ..Settings::default() };
        return Reporter::new(streams, settings, command, environment).data(&json::schema());
    }
    match Account::resolve(request, environment) {
        Ok(account) => {
            let settings = account.settings.clone();
            let mut reporter = Reporter::new(streams, settings, command, environment);
            register::run(account, &mut reporter)
        }
        Err(refused) => {
            let (settings, error) = *refused;
            Reporter::new(streams, settings, command, environment).fail(error)
        }
    }
}

/// Help, version, or a command line that the argument reader does not take.
fn not_run(
    error: &clap::Error,
    arguments: &[OsString],
    environment: &Environment,
    streams: &mut Streams<'_>,
) -> Exit {
    let (settings, command) = rough(arguments, error.use_stderr());
    let mut reporter = Reporter::new(streams, settings, command, environment);
    let (out, err) = reporter.colors();
    let text = |colored: bool| {
        let text = error.render();
        if colored { text.ansi().to_string() } else { text.to_string() }
    };
    let kind = error.kind();
    if kind == ErrorKind::DisplayHelp || kind == ErrorKind::DisplayVersion {
        reporter.data(&text(out.is_on()))
    } else if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        reporter.usage_help(&text(err.is_on()))
    } else {
        let error = usage::from_clap(error, arguments.get(1).and_then(|command| command.to_str()));
        if check::is_for_nagios(arguments) {
            return check::unreadable(error.into(), &mut reporter);
        }
        reporter.fail(error)
    }
}

/// The settings for the report and the command, as far as a command line that can't be read, or asks for help, shows
/// them.
fn rough(arguments: &[OsString], is_wrong: bool) -> (Settings, Option<CommandName>) {
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    // Whatever is wrong with other values.
    let untyped = |argument: Arg| match argument.get_id().as_str() {
        "color" => argument,
        _ if argument.get_action().takes_values() => argument.value_parser(ValueParser::os_string()),
        _ => argument,
    };
    let mut program = Args::command().ignore_errors(true);
    if is_wrong {
        // The options of the commands are there only when it is built, which takes its time.
        program.build();
        program = program.mut_subcommands(|command| command.mut_args(untyped));
    }
    let matches = program.try_get_matches_from(arguments).ok();
    let Some((name, matches)) = matches.as_ref().and_then(ArgMatches::subcommand) else {
        return (Settings { json, ..Settings::default() }, None);
    };
    let aor = matches.try_get_one::<OsString>("aor").ok().flatten();
    let color = matches.try_get_one::<values::ColorChoice>("color").ok().flatten();
    let settings = Settings {
        aor: aor.and_then(|text| values::aor_of(text.to_str()?)),
        json,
        color: color.copied().unwrap_or_default(),
        ..Settings::default()
    };
    (settings, CommandName::from_str(name, false).ok())
}

#[cfg(test)]
mod tests;
