//! What `--help` says about the program and its commands; the manual pages take it from there.

pub(super) const ABOUT: &str = "Tells a SIP registrar where you can be reached";

pub(super) const REGISTER_ABOUT: &str = "Bind this device to an address, once, and print what was granted";

pub(super) const REGISTER_LONG: &str = "\
Bind this device to an address, once, and print what was granted.

AOR, the address of record, is the address that people call: sip:you@example.com, or \
you@example.com for short. The registrar of its domain is asked to send its calls to this \
device, or to each --contact. The name of an account in the configuration file stands for \
its address and options.";

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  sipreg register you@example.com
  sipreg list you@example.com
  sipreg unregister you@example.com
  sipreg register --help";

pub(super) const LIST_ABOUT: &str = "Show every binding of an address";

pub(super) const LIST_LONG: &str = "\
Show every binding of an address.

The registrar of AOR is asked where its calls go now. Nothing changes.";

pub(super) const LIST_END: &str = "\
Examples:
  What is bound, and for how long:
    sipreg list you@example.com

  In a script: is the desk phone there?
    sipreg list you@example.com --contact sip:you@192.0.2.7:5060 --quiet

  Only the URIs:
    sipreg list you@example.com --json | jq -r '.bindings[].uri'

Exit status: as for 'sipreg register', and
    7  a --contact is not bound";

pub(super) const UNREGISTER_ABOUT: &str = "Remove this device's binding, another one, or all";

pub(super) const UNREGISTER_LONG: &str = "\
Remove this device's binding, another one, or all.

Without --contact and --all it removes what 'sipreg register' bound from here, and \
touches no other device.";

pub(super) const UNREGISTER_END: &str = "\
Examples:
  After 'sipreg register you@example.com':
    sipreg unregister you@example.com

  A desk phone that is gone:
    sipreg unregister you@example.com --contact sip:you@192.0.2.7:5060

  Everything, without being asked:
    sipreg unregister you@example.com --all --yes

Exit status: as for 'sipreg register'. 6 also says that the registrar answered
yes, and the binding is still there.";

pub(super) const SHORT_END: &str = "\
The variable SIPREG_PASSWORD may hold the password. --help says more, gives
examples and explains the exit status.";

pub(super) const REGISTER_END: &str = "\
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
