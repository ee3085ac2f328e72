//! The step that a check is at, on a terminal: a line below everything else, whose first letter turns, so that whoever waits
//! for a step that takes its time sees for what. It is gone before anything else is written, and never in a pipe.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Reporter;
use crate::cli::finding::Step;

/// How long a letter stands. A step that takes less than that is told without a spinner.
const TURN: Duration = Duration::from_millis(100);

/// The letters, one after the other.
const LETTERS: [char; 4] = ['|', '/', '-', '\\'];

/// When the line is drawn anew. Life cycle: [`Spinner::new`] inside the runtime, [`Spinner::turn`] beside whatever is waited
/// for, [`Spinner::restart`] when a step is told.
pub struct Spinner {
    /// `None`: nothing moves.
    turns: Option<Interval>,
    letter: usize,
}

impl Spinner {
    /// A spinner that turns, or one that never does.
    #[must_use]
    pub fn new(turns: bool) -> Spinner {
        let mut spinner = Spinner { turns: turns.then(|| interval(TURN)), letter: 0 };
        if let Some(turns) = &mut spinner.turns {
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        spinner.restart();
        spinner
    }

    /// The letter to be drawn next, when it is time to; never, where nothing moves. Can be dropped at any time.
    pub async fn turn(&mut self) -> char {
        match &mut self.turns {
            Some(turns) => _ = turns.tick().await,
            None => std::future::pending().await,
        }
        self.letter = (self.letter + 1) % LETTERS.len();
        LETTERS.get(self.letter).copied().unwrap_or_default()
    }

    /// Another step begins: it gets the time of a turn before anything is drawn.
    pub fn restart(&mut self) {
        if let Some(turns) = &mut self.turns {
            turns.reset();
        }
    }
}

impl Reporter<'_, '_> {
    /// Whether a spinner may turn: where a person looks at both streams, who has not asked for something else to be written.
    #[must_use]
    pub fn has_spinner(&self) -> bool {
        self.has_board() && self.streams.stderr_is_terminal
    }

    /// Draws the line of the step that is under way, as the line that will take its place begins.
    pub fn spin(&mut self, letter: char, step: Option<Step>, what: &str) {
        let name = step.map(Step::name).unwrap_or_default();
        let line = format!("{letter}        {name:<13} {what}");
        self.place(vec![self.out.faint(&line)]);
    }
}
