//! How each shell is asked and answered: clap_complete's adapters, with repairs for bash and zsh.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use clap::Command;
use clap_complete::engine;
use clap_complete::env::{self, EnvCompleter};

use super::words;
use crate::cli::values::Shell;

/// Speaks with a shell.
pub fn adapter(shell: Shell) -> &'static dyn EnvCompleter {
    match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &env::Fish,
        Shell::PowerShell => &env::Powershell,
        Shell::Elvish => &env::Elvish,
    }
}

/// As clap_complete has it, except that candidates are quoted (bash inserts them as they are), for which the script
/// tells whether a quote is open; and that `--option=value`, which bash takes apart, is understood.
struct Bash;

/// The word being completed, with its quotes.
const TYPED: &str = "_SIPREG_TYPED";

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        env::Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let script = written(|to| env::Bash.write_registration(var, name, bin, completer, to))?;
        let ask = format!("        {var}=\"bash\" \\\n");
        let tell = format!("        {TYPED}=\"${{COMP_WORDS[COMP_CWORD]}}\" \\\n");
        buf.write_all(script.replacen(&ask, &(tell + &ask), 1).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<usize>().ok());
        let index = number("_CLAP_COMPLETE_INDEX").unwrap_or(args.len().saturating_sub(1));
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let quote = std::env::var(TYPED).ok().and_then(|typed| typed.chars().next());
        let (args, index) = words::without_signs(args, index);
        let candidates = engine::complete(cmd, args, index, current_dir)?.into_iter();
        let quoted = candidates.map(|found| words::quoted(&found.get_value().to_string_lossy(), quote));
        buf.write_all(quoted.collect::<Vec<_>>().join(&separator).as_bytes())
    }
}

/// As clap_complete has it, with two lines more in the script. Loaded from `fpath`, it runs as the completion function
/// itself, and the first Tab would do nothing. And zsh would quote the `~` of a path; it keeps its hands off what the
/// script takes from the front, which the candidates then must not have.
struct Zsh;

/// How paths begin that a shell resolves.
const HOME: &str = "~/";

impl EnvCompleter for Zsh {
    fn name(&self) -> &'static str {
        env::Zsh.name()
    }

    fn is(&self, name: &str) -> bool {
        env::Zsh.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let script = written(|to| env::Zsh.write_registration(var, name, bin, completer, to))?;
        let ask = "    local completions=";
        let take = format!("    compset -P '\\{HOME}'\n\n");
        buf.write_all(script.replacen(ask, &(take + ask), 1).as_bytes())?;
        let function = format!("_clap_dynamic_completer_{name}");
        write!(buf, "\nif [[ ${{funcstack[1]}} == _{name} ]]; then\n    {function} \"$@\"\nfi\n")
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> io::Result<()> {
        let candidates = written(|to| env::Zsh.write_complete(cmd, args, current_dir, to))?;
        let lines: Vec<&str> =
            candidates.split('\n').map(|line| line.strip_prefix(HOME).unwrap_or(line)).collect();
        buf.write_all(lines.join("\n").as_bytes())
    }
}

/// What an adapter writes.
fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut buffer = Vec::new();
    write(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}
