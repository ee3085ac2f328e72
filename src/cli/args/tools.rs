//! The commands that talk to shells and manuals, not to registrars.

use std::path::PathBuf;

use clap::Args;

use crate::cli::complete::Shell;

pub(super) const COMPLETIONS_ABOUT: &str = "Print the script that makes a shell complete sipreg's arguments";

pub(super) const COMPLETIONS_LONG: &str = "\
Print the script that makes a shell complete sipreg's arguments.

Commands, options, values, files and the accounts of the configuration file are completed. The \
script asks the 'sipreg' found in PATH for them whenever you press Tab, so it keeps fitting \
when your accounts change.";

pub(super) const COMPLETIONS_END: &str = "\
Examples:
  bash, in ~/.bashrc:
    source <(sipreg completions bash)

  zsh, in ~/.zshrc after compinit:
    source <(sipreg completions zsh)

  fish:
    mkdir -p ~/.config/fish/completions
    sipreg completions fish > ~/.config/fish/completions/sipreg.fish

  PowerShell, in $PROFILE:
    sipreg completions powershell | Out-String | Invoke-Expression

  elvish, in ~/.config/elvish/rc.elv:
    eval (sipreg completions elvish | slurp)

Exit status:
    0  done
    2  the command line is wrong
   70  internal error (a bug)";

pub(super) const MAN_ABOUT: &str = "Print the manual page, or write one per command";

pub(super) const MAN_LONG: &str = "\
Print the manual page, or write one per command.

Without DIR the page of sipreg itself goes to standard output.";

pub(super) const MAN_END: &str = "\
Examples:
  Read it:
    sipreg man | man -l -

  Install the pages for yourself, where man finds them:
    sipreg man ~/.cargo/share/man/man1    # with ~/.cargo/bin in PATH
    sipreg man ~/.local/share/man/man1    # with ~/.local/bin in PATH

Exit status:
    0  done
    2  the command line is wrong, or DIR can't be written
   70  internal error (a bug)";

/// `sipreg completions`.
#[derive(Args)]
pub struct Completions {
    /// The shell that is to complete
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `sipreg man`.
#[derive(Args)]
pub struct Man {
    /// Write a page per command into this directory
    ///
    /// It is made if it is not there. Each page is replaced as a whole, and its path is printed.
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
