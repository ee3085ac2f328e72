//! What a run leaves behind at the registrars and in its output: never too many requests, a password at two servers, or a
//! secret that can be read.

use crate::registrar::{PASSWORD, Registrar};
use crate::run::Ran;

/// What went wrong there.
pub fn faults(registrars: &[Registrar], ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let came: Vec<_> = registrars.iter().map(Registrar::came).collect();
    // What the registrars hand on to each other and to the device does not come from it.
    let requests: usize = came.iter().map(Vec::len).sum();
    if requests > 40 {
        wrong.push(format!("{requests} requests came"));
    }
    let trusted = came.iter().filter(|came| came.iter().any(|request| request.is_proven())).count();
    if trusted > 1 {
        wrong.push(format!("the password was used at {trusted} servers"));
    }
    if came.iter().flatten().any(|request| request.all("Contact").any(|contact| contact.starts_with('*'))) {
        wrong.push("Contact: * was sent".to_owned());
    }
    if ran.all().contains(PASSWORD) {
        wrong.push("the password is in the output".to_owned());
    }
    wrong
}

/// How many answers to a challenge came.
pub fn proofs(registrars: &[Registrar]) -> usize {
    registrars.iter().flat_map(Registrar::came).filter(|request| request.is_proven()).count()
}
