//! `completions` and `man`, which talk to no registrar.

use super::*;

#[test]
fn what_is_wrong_with_them_is_said() {
    let mut said = String::new();
    for arguments in [
        &["completions"][..],
        &["completions", "tcsh"],
        &["completions", "bash", "zsh"],
        &["completions", "--jsno"],
        &["man", "a", "b"],
    ] {
        let (code, stdout, stderr) = plain(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}");
        said += &format!("$ sipreg {}\n{stderr}", arguments.join(" "));
    }
    insta::assert_snapshot!(said, @r#"
    $ sipreg completions
    error: the SHELL is missing: which one is to complete?
    hint: sipreg completions bash; or zsh, fish, powershell, elvish
    $ sipreg completions tcsh
    error: SHELL: "tcsh" is not one of bash, zsh, fish, powershell, elvish
    $ sipreg completions bash zsh
    error: there is one argument too many (it is not shown, since it may be a secret)
    hint: 'completions' takes one SHELL
    $ sipreg completions --jsno
    error: there is no option "--jsno"
    hint: '--help' after the command lists what there is
    $ sipreg man a b
    error: there is one argument too many (it is not shown, since it may be a secret)
    hint: 'man' takes one DIR. Quote values that hold spaces
    "#);
}

#[test]
fn help_of_completions() {
    insta::assert_snapshot!(plain(&["completions", "--help"]).1, @"
    Print the script that makes a shell complete sipreg's arguments.

    Commands, options, values, files and the accounts of the configuration file are
    completed. The script asks the 'sipreg' found in PATH for them whenever you
    press Tab, so it keeps fitting when your accounts change.

    Usage: sipreg completions <SHELL>

    Arguments:
      <SHELL>
              The shell that is to complete

              Possible values:
              - bash:       GNU bash
              - zsh:        The Z shell
              - fish:       The friendly interactive shell
              - powershell: PowerShell, on Windows and elsewhere
              - elvish:     The elvish shell

    Options:
      -h, --help
              Print help (see a summary with '-h')

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
       70  internal error (a bug)
    ");
}

#[test]
fn help_of_man() {
    insta::assert_snapshot!(plain(&["man", "--help"]).1, @"
    Print the manual page, or write one per command.

    Without DIR the page of sipreg itself goes to standard output.

    Usage: sipreg man [DIR]

    Arguments:
      [DIR]
              Write a page per command into this directory
              
              It is made if it is not there. Each page is replaced as a whole, and
              its path is printed.

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Examples:
      Read it:
        sipreg man | man -l -

      Install the pages for yourself, where man finds them:
        sipreg man ~/.cargo/share/man/man1    # with ~/.cargo/bin in PATH
        sipreg man ~/.local/share/man/man1    # with ~/.local/bin in PATH

    Exit status:
        0  done
        2  the command line is wrong, or DIR can't be written
       70  internal error (a bug)
    ");
    insta::assert_snapshot!(plain(&["man", "-h"]).1, @"
    Print the manual page, or write one per command

    Usage: sipreg man [DIR]

    Arguments:
      [DIR]  Write a page per command into this directory

    Options:
      -h, --help  Print help (see more with '--help')
    ");
}

/// Also by the other name of PowerShell.
#[test]
fn scripts_and_pages_go_to_stdout() {
    let (code, script, stderr) = plain(&["completions", "pwsh"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(script.starts_with("Register-ArgumentCompleter"), "{script}");
    let (code, page, stderr) = plain(&["man"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(page.contains(".TH SIPREG 1 "), "{page}");
}
