//! Colours, for one stream. They mark what a person looks for first; nothing is said by colour alone.

use colored::{ColoredString, Colorize};

use crate::cli::Environment;
use crate::cli::values::ColorChoice;

/// The colours of a stream, if it gets any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// `--color` decides; `auto` means `NO_COLOR`, then `CLICOLOR_FORCE`, then whether a terminal listens.
    #[must_use]
    pub fn new(choice: ColorChoice, environment: &Environment, is_terminal: bool) -> Paint {
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if environment.no_color => false,
            ColorChoice::Auto => environment.clicolor_force || (is_terminal && !environment.dumb_terminal),
        };
        if on {
            // The crate looks at stdout alone; here each stream has been judged already.
            colored::control::set_override(true);
        }
        Paint { on }
    }

    /// A stream without colours.
    #[must_use]
    pub fn plain() -> Paint {
        Paint { on: false }
    }

    /// Whether there are colours.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    fn with(self, text: &str, style: impl Fn(ColoredString) -> ColoredString) -> String {
        if self.on { style(text.normal()).to_string() } else { text.to_owned() }
    }

    /// For a success.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.with(text, |text| text.green().bold())
    }

    /// For the subject of a line.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.with(text, |text| text.bold())
    }

    /// For what is beside the point.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.with(text, |text| text.dimmed())
    }

    /// For a failure.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.with(text, |text| text.red().bold())
    }

    /// For a warning.
    #[must_use]
    pub fn odd(self, text: &str) -> String {
        self.with(text, |text| text.yellow().bold())
    }

    /// For a hint.
    #[must_use]
    pub fn advice(self, text: &str) -> String {
        self.with(text, |text| text.cyan().bold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The option beats the variables, `NO_COLOR` beats `CLICOLOR_FORCE`, both beat the terminal.
    #[test]
    fn who_decides_about_colours() {
        let environment =
            |no_color, clicolor_force| Environment { no_color, clicolor_force, ..Environment::default() };
        for (choice, no_color, force, terminal, on) in [
            (ColorChoice::Auto, false, false, true, true),
            (ColorChoice::Auto, false, false, false, false),
            (ColorChoice::Auto, true, false, true, false),
            (ColorChoice::Auto, false, true, false, true),
            (ColorChoice::Auto, true, true, true, false),
            (ColorChoice::Always, true, false, false, true),
            (ColorChoice::Never, false, true, true, false),
        ] {
            let paint = Paint::new(choice, &environment(no_color, force), terminal);
            assert_eq!(paint.is_on(), on, "{choice:?} {no_color} {force} {terminal}");
        }
        let dumb = Environment { dumb_terminal: true, ..Environment::default() };
        assert!(!Paint::new(ColorChoice::Auto, &dumb, true).is_on());
    }
}
