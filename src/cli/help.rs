//! What `--help` says about the program and its commands; the manual pages take it from there.

pub const ABOUT: &str = "Tells a SIP registrar where you can be reached";

pub const REGISTER_ABOUT: &str = "Bind this device to an address, once, and print what was granted";

pub const REGISTER_LONG: &str = "\
Bind this device to an address, once, and print what was granted.

AOR, the address of record, is the address that people call: sip:you@example.com, or \
you@example.com for short. The registrar of its domain is asked to send its calls to this \
device, or to each --contact. The name of an account in the configuration file stands for \
its address and options.";

pub const TOP_EXAMPLES: &str = "\
Examples:
  sipreg register you@example.com
  sipreg list you@example.com
  sipreg unregister you@example.com
  sipreg register --help";

pub const LIST_ABOUT: &str = "Show every binding of an address";

pub const LIST_LONG: &str = "\
Show every binding of an address.

The registrar of AOR is asked where its calls go now. Nothing changes.";

pub const LIST_END: &str = "\
Examples:
  What is bound, and for how long:
    sipreg list you@example.com

  In a script: is the desk phone there?
    sipreg list you@example.com --contact sip:you@192.0.2.7:5060 --quiet

  Only the URIs:
    sipreg list you@example.com --json | jq -r '.bindings[].uri'

Exit status: as for 'sipreg register', and
    7  a --contact is not bound";

pub const UNREGISTER_ABOUT: &str = "Remove this device's binding, another one, or all";

pub const UNREGISTER_LONG: &str = "\
Remove this device's binding, another one, or all.

Without --contact and --all it removes what 'sipreg register' bound from here, and \
touches no other device.";

pub const UNREGISTER_END: &str = "\
Examples:
  After 'sipreg register you@example.com':
    sipreg unregister you@example.com

  A desk phone that is gone:
    sipreg unregister you@example.com --contact sip:you@192.0.2.7:5060

  Everything, without being asked:
    sipreg unregister you@example.com --all --yes

Exit status: as for 'sipreg register'. 6 also says that the registrar answered
yes, and the binding is still there.";

pub const SHORT_END: &str = "\
The variable SIPREG_PASSWORD may hold the password. --help says more, gives
examples and explains the exit status.";

pub const REGISTER_END: &str = "\
Examples:
  Bind this device, and be asked for the password if there has to be one:
    sipreg register you@example.com

  From a script, for half an hour, with the result as JSON:
    sipreg register you@example.com --password-file ~/.sip --expires 30m --json

  A desk phone, through a registrar given by address:
    sipreg register you@example.com --registrar 192.0.2.1 \\
      --contact sip:you@192.0.2.7:5060

  Remove that binding again:
    sipreg register you@example.com --contact sip:you@192.0.2.7:5060 --expires 0

  Look before you leap, and watch while you do:
    sipreg register you@example.com --dry-run
    sipreg register you@example.com -vv

Durations are numbers with units, such as 90s, 1h or '1h 30m'; a bare number is
seconds.

Exit status:
    0  done: the registrar confirmed it
    1  refused by the registrar
    2  the command line is wrong; nothing was sent
    3  credentials are missing or were not accepted
    4  no final answer in time
    5  could not be reached
    6  the registrar misbehaved: it said yes and did not do it
   70  internal error (a bug)
  130  ended by SIGINT (Ctrl-C); 143 by SIGTERM";

pub const KEEP_ABOUT: &str = "Bind this device, and keep it bound until told to stop";

pub const KEEP_LONG: &str = "\
Bind this device, and keep it bound until told to stop.

Each AOR is bound, and bound again before that runs out. What fails is tried again, ever less often; \
what failed for good, such as a wrong password, is not, unless --probe says so. SIGINT (Ctrl-C) and \
SIGTERM remove the bindings; a second one ends it at once. SIGHUP reads the configuration again and binds \
anew, and SIGUSR1 says how things stand.";

pub const KEEP_END: &str = "\
Examples:
  Until Ctrl-C:
    sipreg keep you@example.com

  Two accounts of the configuration file, with events for a script:
    sipreg keep work home --json

  As long as something runs:
    sipreg keep you@example.com -- ./softphone --no-register

Exit status: as for 'sipreg register', and
    0  stopped, and the registrars confirmed that the bindings are removed
    4  stopped, and one of them did not within 4 s
  130  ended at once by a second SIGINT; 143 by SIGTERM

A failure counts when every account has failed for good. With a COMMAND that was
started it ends as that does.";

pub const SERVE_ABOUT: &str = "Be a registrar: take registrations, and tell them";

pub const SERVE_LONG: &str = "\
Be a registrar: take registrations, and tell them.

Devices that know a user's password bind themselves to that user's address. Bindings are kept in \
memory, until they run out or the server ends. It runs until SIGINT or SIGTERM; SIGHUP reads the \
users again.";

pub const SERVE_END: &str = "\
Examples:
  For yourself, without passwords, on this machine only:
    sipreg serve --no-auth

  A user, asking for the password, and a server that knows her:
    sipreg serve --add-user alice@example.com --users users.txt
    sipreg serve --domain example.com --users users.txt --listen udp:0.0.0.0:5060

  For a script: any free port, events as JSON:
    sipreg serve --no-auth --listen udp:127.0.0.1:0 --json

Exit status:
    0  stopped by SIGINT or SIGTERM, and everything answered
    2  the command line or the users file is wrong, or it can't listen there
   70  internal error (a bug)
  130  SIGINT, twice (143: SIGTERM)";

pub const DEMO_ABOUT: &str = "Watch the textbook registration, on this machine alone";

pub const DEMO_LONG: &str = "\
Watch the textbook registration, on this machine alone.

A registrar of munich.de is started on a free port of the loopback interface. Werner Heisenberg \
registers two devices there with his password, looks where he is bound, takes one back and then \
all. Sockets, messages, digest and registrar are the real ones of 'sipreg serve' and \
'sipreg register'; each step shows the command that does the same.";

pub const DEMO_END: &str = "\
Examples:
  At a pace to read along, with whole messages:
    sipreg demo --slow -vv

Exit status:
    0  all went as it should
    6  it did not (or what the step that failed would end with)
   70  internal error (a bug)";

pub const COMPLETIONS_ABOUT: &str = "Print the script that makes a shell complete sipreg's arguments";

pub const COMPLETIONS_LONG: &str = "\
Print the script that makes a shell complete sipreg's arguments.

Commands, options, values, files and the accounts of the configuration file are completed. The \
script asks the 'sipreg' found in PATH for them whenever you press Tab, so it keeps fitting \
when your accounts change.";

pub const COMPLETIONS_END: &str = "\
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

pub const MAN_ABOUT: &str = "Print the manual page, or write one per command";

pub const MAN_LONG: &str = "\
Print the manual page, or write one per command.

Without DIR the page of sipreg itself goes to standard output.";

pub const MAN_END: &str = "\
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

/// What `--quiet` leaves of a server.
pub const SERVE_QUIET: &str = "\
Print nothing but errors

What --json prints is printed all the same.";
