//! The scripts and answers for each shell: clap_complete's adapters, with repairs for bash and zsh.
//!
//! - bash inserts candidates as they are, so they are quoted here; for that its script says whether a quote
//!   is open. And it takes `--option=value` apart.
//! - zsh loads a script from `fpath` as the completion function itself, so that the first Tab would do
//!   nothing. And it would quote the `~` of a path; it keeps its hands off what the script takes from the
//!   front, which the candidates then must not have.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Command;
use clap_complete::engine;
use clap_complete::env::{self, EnvCompleter};

use super::words;
use crate::cli::values::Shell;

/// The variable in which bash hands over the word being completed, with its quotes.
const TYPED: &str = "_SIPREG_TYPED";

/// The beginning of a path that a shell resolves.
const HOME: &str = "~/";

fn adapter(shell: Shell) -> &'static dyn EnvCompleter {
    match shell {
        Shell::Bash => &env::Bash,
        Shell::Zsh => &env::Zsh,
        Shell::Fish => &env::Fish,
        Shell::Powershell => &env::Powershell,
        Shell::Elvish => &env::Elvish,
    }
}

/// The script that has a shell ask `sipreg`, with `variable` set to the name of the shell.
pub fn script(shell: Shell, variable: &str) -> io::Result<String> {
    let write =
        |to: &mut dyn Write| adapter(shell).write_registration(variable, "sipreg", "sipreg", "sipreg", to);
    let script = written(write)?;
    Ok(match shell {
        Shell::Bash => {
            let ask = format!("        {variable}=\"bash\" \\\n");
            let tell = format!("        {TYPED}=\"${{COMP_WORDS[COMP_CWORD]}}\" \\\n");
            script.replacen(&ask, &(tell + &ask), 1)
        }
        Shell::Zsh => {
            let ask = "    local completions=";
            let take = format!("    compset -P '\\{HOME}'\n\n{ask}");
            let function = "_clap_dynamic_completer_sipreg";
            let call = format!("\nif [[ ${{funcstack[1]}} == _sipreg ]]; then\n    {function} \"$@\"\nfi\n");
            script.replacen(ask, &take, 1) + &call
        }
        Shell::Fish | Shell::Powershell | Shell::Elvish => script,
    })
}

/// The candidates for the words, as the shell reads them.
pub fn candidates(shell: Shell, command: &mut Command, words: Vec<OsString>) -> io::Result<String> {
    let here = std::env::current_dir().ok();
    if shell == Shell::Bash {
        let number = std::env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|text| text.parse::<usize>().ok());
        let index = number.unwrap_or(words.len().saturating_sub(1));
        let separator = std::env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let quote = std::env::var(TYPED).ok().and_then(|typed| typed.chars().next());
        let (words, index) = words::without_signs(words, index);
        let candidates = engine::complete(command, words, index, here.as_deref())?.into_iter();
        let quoted = candidates.map(|found| words::quoted(&found.get_value().to_string_lossy(), quote));
        return Ok(quoted.collect::<Vec<_>>().join(&separator));
    }
    let answer = written(|to| adapter(shell).write_complete(command, words, here.as_deref(), to))?;
    if shell == Shell::Zsh {
        let lines = answer.split('\n').map(|line| line.strip_prefix(HOME).unwrap_or(line));
        return Ok(lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(answer)
}

fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<String> {
    let mut buffer = Vec::new();
    write(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}
