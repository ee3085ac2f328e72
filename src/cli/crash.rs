//! A panic is a bug, and ends the command like any other failure: with a message, in JSON if asked for, and
//! [`Exit::Internal`](super::Exit::Internal). That holds for a panic beside the main thread too, which nobody
//! would notice otherwise.

use std::panic;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

static LAST_WORDS: Mutex<Option<String>> = Mutex::new(None);
static HAPPENED: Notify = Notify::const_new();

/// From now on panics are kept for [`last_words`] instead of being printed.
pub fn watch() {
    panic::set_hook(Box::new(|panic| {
        // The first one says most; what follows may be its consequence.
        LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| panic.to_string());
        HAPPENED.notify_one();
    }));
}

/// Ends when a thread or task has panicked.
pub async fn happened() {
    HAPPENED.notified().await;
}

/// The message and place of the first panic.
#[must_use]
pub fn last_words() -> String {
    let words = LAST_WORDS.lock().unwrap_or_else(PoisonError::into_inner).take();
    words.unwrap_or_else(|| "a panic without words".to_owned())
}
