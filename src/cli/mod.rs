//! The `sipreg` command: a straight line from what was typed ([`args`]) to what is meant ([`account`]), to doing it
//! (`run`), to what is shown ([`report`]) and how the process exits ([`Exit`]).
//!
//! Every complaint about the command line ends before anything is sent. Only [`report`] writes to stdout.

pub mod account;
pub mod args;
pub mod complete;
pub mod config;
mod crash;
mod demo;
pub mod diagnose;
mod exit;
pub mod explain;
mod keep;
pub mod man;
mod metrics;
mod prompt;
pub mod report;
mod run;
pub mod secret;
mod serve;
pub mod state;
pub mod usage;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use account::Account;
use args::{Args, Command, Typed, Wish};
pub use exit::Exit;
use report::json::{self, CommandName};
use report::{Reporter, Settings, Streams};

/// What the environment says that matters here.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `SIPREG_PASSWORD`.
    pub password: Option<OsString>,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set and neither empty nor 0.
    pub clicolor_force: bool,
    /// `TERM` is `dumb`.
    pub dumb_terminal: bool,
    /// `HOME`, or the user's profile on Windows.
    pub home: Option<PathBuf>,
    /// `XDG_STATE_HOME`, if it is an absolute path.
    pub xdg_state_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, if it is an absolute path.
    pub xdg_config_home: Option<PathBuf>,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Environment {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        // The XDG specification ignores relative paths: they would mean another folder wherever one stands.
        let folder = |name| set(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Environment {
            password: set("SIPREG_PASSWORD"),
            no_color: set("NO_COLOR").is_some(),
            clicolor_force: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb_terminal: set("TERM").is_some_and(|value| value == "dumb"),
            home: folder(if cfg!(windows) { "USERPROFILE" } else { "HOME" }),
            xdg_state_home: folder("XDG_STATE_HOME"),
            xdg_config_home: folder("XDG_CONFIG_HOME"),
        }
    }

    /// The folder for the configuration; `None` where there is no home.
    #[must_use]
    pub fn config_home(&self) -> Option<PathBuf> {
        let base = self.xdg_config_home.clone().or_else(|| Some(self.home.as_ref()?.join(".config")))?;
        Some(base.join("sipreg"))
    }

    /// The folder for what is remembered between runs; `None` where there is no home.
    #[must_use]
    pub fn state_home(&self) -> Option<PathBuf> {
        let base = self.xdg_state_home.clone().or_else(|| Some(self.home.as_ref()?.join(".local/state")))?;
        Some(base.join("sipreg"))
    }
}

/// A signal that ends a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

/// Says what the words of the command line are. They are not held: there may be ten thousand addresses among them.
type Arguments<'a> = &'a dyn Fn() -> Vec<OsString>;

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = || std::env::args_os().collect::<Vec<_>>();
    let environment = Environment::of_process();
    let asking = complete::asking();
    let (mut stdout, mut stderr) = (io::stdout(), io::stderr());
    let (stdout_is_terminal, stderr_is_terminal) = (stdout.is_terminal(), stderr.is_terminal());
    let mut streams =
        Streams { stdout: &mut stdout, stderr: &mut stderr, stdout_is_terminal, stderr_is_terminal };
    let exit = match asking {
        Some(shell) => complete_for(shell, &arguments(), &environment, &mut streams),
        None => run_guarded(&arguments, &environment, &mut streams),
    };
    ExitCode::from(exit.code())
}

/// Answers a shell. If that fails nothing is said: somebody is typing there.
fn complete_for(
    shell: complete::Shell,
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

/// As [`run_from`], but a panic of ours ends as any other failure does: with a message, JSON if asked for, and
/// [`Exit::Internal`].
pub fn run_guarded(arguments: Arguments<'_>, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    crash::watch();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| run_from(arguments, environment, streams)));
    ended.unwrap_or_else(|_| {
        let arguments = arguments();
        let settings = rough_settings(&arguments);
        let command = rough_command(&arguments);
        Reporter::new(streams, settings, command, environment).internal(&crash::last_words())
    })
}

/// Runs one command to its end, with everything it depends on as arguments. The first argument is the program's name.
pub fn run_from(arguments: Arguments<'_>, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    match Args::try_parse_from(arguments()) {
        Ok(Args { command: Command::Register(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::List(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::Unregister(args) }) => ask((*args.0).into(), environment, streams),
        Ok(Args { command: Command::Completions(args) }) => {
            let script = complete::script(args.0.shell);
            Reporter::new(streams, Settings::default(), None, environment).data(&script)
        }
        Ok(Args { command: Command::Demo(args) }) => {
            let settings = demo::settings(&args.0);
            let mut reporter = Reporter::new(streams, settings, Some(CommandName::Demo), environment);
            if args.0.json_schema {
                return reporter.data(&report::demo::schema());
            }
            demo::run(&args.0, &mut reporter)
        }
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
        Err(error) => reporter.usage(&error),
    }
}

/// The registrar itself.
fn serving(args: args::serve::Serve, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let mut reporter = Reporter::new(streams, serve::settings(&args), Some(CommandName::Serve), environment);
    if args.output.json_schema {
        return reporter.data(&report::serving::schema());
    }
    serve::run(args, environment, &mut reporter)
}

/// A command that asks the registrar for something.
fn ask(mut args: Typed, environment: &Environment, streams: &mut Streams<'_>) -> Exit {
    let command = Some(match args.wish {
        Wish::Register(_) => CommandName::Register,
        Wish::List(_) => CommandName::List,
        Wish::Unregister(_) => CommandName::Unregister,
    });
    if args.output.json_schema {
        let settings = Settings { color: args.output.color.unwrap_or_default(), ..Settings::default() };
        return Reporter::new(streams, settings, command, environment).data(&json::schema());
    }
    let consulted = config::consult(&mut args, environment);
    let settings = Settings {
        aor: args.aor.as_deref().and_then(account::aor_of),
        json: args.output.json,
        color: args.output.color.unwrap_or_default(),
        ..Settings::default()
    };
    let meant = consulted
        .and_then(|origins| Account::mean(args, environment).map_err(|error| origins.complain(error)));
    match meant {
        Ok(account) => {
            let settings = account.settings.clone();
            let mut reporter = Reporter::new(streams, settings, command, environment);
            run::run(account, &mut reporter)
        }
        Err(error) => Reporter::new(streams, settings, command, environment).usage(&error),
    }
}

/// Help, version, or a command line that the argument reader does not take.
fn not_run(
    error: &clap::Error,
    arguments: &[OsString],
    environment: &Environment,
    streams: &mut Streams<'_>,
) -> Exit {
    let settings = rough_settings(arguments);
    let mut reporter = Reporter::new(streams, settings, rough_command(arguments), environment);
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
        reporter.usage(&usage::from_clap(error))
    }
}

/// What can be told of a command line that could not be read.
fn rough_settings(arguments: &[OsString]) -> Settings {
    let json = arguments.iter().take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    let matches = Args::command().ignore_errors(true).try_get_matches_from(arguments).ok();
    let found = matches.as_ref().and_then(|matches| matches.subcommand()).map(|(_, matches)| matches);
    let aor = found.and_then(|matches| matches.try_get_one::<String>("aor").ok().flatten());
    let color = found.and_then(|matches| matches.try_get_one::<args::ColorChoice>("color").ok().flatten());
    Settings {
        aor: aor.and_then(|text| account::aor_of(text)),
        json,
        color: color.copied().unwrap_or_default(),
        ..Settings::default()
    }
}

fn rough_command(arguments: &[OsString]) -> Option<CommandName> {
    match arguments.get(1).and_then(|argument| argument.to_str()) {
        Some("register") => Some(CommandName::Register),
        Some("list" | "query") => Some(CommandName::List),
        Some("unregister") => Some(CommandName::Unregister),
        Some("keep") => Some(CommandName::Keep),
        Some("serve") => Some(CommandName::Serve),
        Some("demo") => Some(CommandName::Demo),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests;
